//go:build !unix

package tool

func ignoreWriteSignals() {}
