package chat

import (
	"fmt"
	"strings"
	"time"
)

func strftimeNow(in *interp, a arguments) (value, error) {
	p, err := bind("strftime_now", "format", a)
	if err != nil {
		return nil, err
	}
	format, err := textArg(p[0])
	if err != nil {
		return nil, err
	}
	return strftime(in.now(), format)
}

// strftime formats a local time as C's strftime does in the C locale, with the
// flags - _ 0 ^ of glibc. The time zone is unknown to Python here: %z and %Z
// give nothing.
func strftime(t time.Time, format string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 || i == len(format)-1 {
			b.WriteString(format)
			return b.String(), nil
		}
		b.WriteString(format[:i])
		format = format[i+1:]
		flag := byte(0)
		if strings.IndexByte("-_0^", format[0]) >= 0 && len(format) > 1 {
			flag = format[0]
			format = format[1:]
		}
		s, err := strftimeField(t, format[0], flag)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		format = format[1:]
	}
}

func strftimeField(t time.Time, c, flag byte) (string, error) {
	number := func(n, width int, pad byte) (string, error) {
		switch flag {
		case '-':
			width = 0
		case '_':
			pad = ' '
		case '0':
			pad = '0'
		}
		s := fmt.Sprint(n)
		return strings.Repeat(string(pad), max(width-len(s), 0)) + s, nil
	}
	text := func(s string) (string, error) {
		if flag == '^' {
			s = strings.ToUpper(s)
		}
		return s, nil
	}
	year, week := t.ISOWeek()
	hour12 := (t.Hour()+11)%12 + 1
	switch c {
	case 'a':
		return text(t.Format("Mon"))
	case 'A':
		return text(t.Format("Monday"))
	case 'b', 'h':
		return text(t.Format("Jan"))
	case 'B':
		return text(t.Format("January"))
	case 'c':
		return text(t.Format("Mon Jan _2 15:04:05 2006"))
	case 'C':
		return number(t.Year()/100, 2, '0')
	case 'd':
		return number(t.Day(), 2, '0')
	case 'D', 'x':
		return t.Format("01/02/06"), nil
	case 'e':
		return number(t.Day(), 2, ' ')
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000), nil
	case 'F':
		return t.Format("2006-01-02"), nil
	case 'g':
		return number(year%100, 2, '0')
	case 'G':
		return number(year, 4, '0')
	case 'H':
		return number(t.Hour(), 2, '0')
	case 'I':
		return number(hour12, 2, '0')
	case 'j':
		return number(t.YearDay(), 3, '0')
	case 'k':
		return number(t.Hour(), 2, ' ')
	case 'l':
		return number(hour12, 2, ' ')
	case 'm':
		return number(int(t.Month()), 2, '0')
	case 'M':
		return number(t.Minute(), 2, '0')
	case 'n':
		return "\n", nil
	case 'p':
		return text(t.Format("PM"))
	case 'P':
		return t.Format("pm"), nil
	case 'r':
		return t.Format("03:04:05 PM"), nil
	case 'R':
		return t.Format("15:04"), nil
	case 's':
		return fmt.Sprint(t.Unix()), nil
	case 'S':
		return number(t.Second(), 2, '0')
	case 't':
		return "\t", nil
	case 'T', 'X':
		return t.Format("15:04:05"), nil
	case 'u':
		return number((int(t.Weekday())+6)%7+1, 1, '0')
	case 'U':
		return number((t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
	case 'V':
		return number(week, 2, '0')
	case 'w':
		return number(int(t.Weekday()), 1, '0')
	case 'W':
		return number((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0')
	case 'y':
		return number(t.Year()%100, 2, '0')
	case 'Y':
		return number(t.Year(), 4, '0')
	case 'z', 'Z':
		return "", nil
	case '%':
		return "%", nil
	}
	return "", typeErrf("strftime_now: conversion %%%c is not supported", c)
}
