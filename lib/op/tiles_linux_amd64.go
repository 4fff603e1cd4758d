//go:build !purego

package op

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// requestTiles asks for the data of tiles, which Linux gives to a process on
// demand (Documentation/arch/x86/xstate.rst), and says what is lacking; empty if
// nothing.
func requestTiles() string {
	const (
		getPermission     = 0x1022 // ARCH_GET_XCOMP_PERM
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // XFEATURE_XTILEDATA
	)
	if _, _, err := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0); err != 0 {
		return "the kernel's permission to use tiles (" + err.Error() + ")"
	}
	var granted uint64
	_, _, err := unix.RawSyscall(unix.SYS_ARCH_PRCTL, getPermission, uintptr(unsafe.Pointer(&granted)), 0)
	if err != 0 || granted>>tileData&1 == 0 {
		return "the kernel's permission to use tiles"
	}
	return ""
}
