package table

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"srar/lib/stream"
)

// leaf sets the type of a column by the element of a Parquet schema, and
// returns what converts its values.
func leaf(c *column, e format.SchemaElement) func(parquet.Value) (any, error) {
	c.typ = stream.TUtf8
	if convert := annotatedLeaf(c, e); convert != nil {
		return convert
	}
	switch e.Type.V {
	case format.Boolean:
		c.typ = stream.TBool
		return func(v parquet.Value) (any, error) { return v.Boolean(), nil }
	case format.Int32:
		c.typ = stream.TInt32
		return func(v parquet.Value) (any, error) { return int64(v.Int32()), nil }
	case format.Int64:
		c.typ = stream.TInt64
		return func(v parquet.Value) (any, error) { return v.Int64(), nil }
	case format.Int96:
		return func(v parquet.Value) (any, error) { return int96Text(v.Int96()), nil }
	case format.Float:
		c.typ = stream.TFloat32
		return func(v parquet.Value) (any, error) { return v.Float(), nil }
	case format.Double:
		c.typ = stream.TFloat64
		return func(v parquet.Value) (any, error) { return v.Double(), nil }
	}
	c.mode = base64Bytes
	return func(v parquet.Value) (any, error) { return v.ByteArray(), nil }
}

// annotatedLeaf is leaf for columns whose values mean something else than their
// physical type says; nil for others.
func annotatedLeaf(c *column, e format.SchemaElement) func(parquet.Value) (any, error) {
	text := func(f func(v parquet.Value) string) func(parquet.Value) (any, error) {
		return func(v parquet.Value) (any, error) { return f(v), nil }
	}
	physical := e.Type.V
	fixed := physical == format.FixedLenByteArray
	bytes := physical == format.ByteArray || fixed
	integers := physical == format.Int32 || physical == format.Int64
	switch t := meaning(e).(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		if bytes {
			return text(func(v parquet.Value) string { return string(v.ByteArray()) })
		}
	case *format.DecimalType:
		scale := int(t.Scale)
		switch {
		case scale < 0 || scale > 1<<10:
		case bytes:
			return text(func(v parquet.Value) string { return decimalText(twosComplement(v.ByteArray()), scale) })
		case integers:
			return text(func(v parquet.Value) string { return decimalText(big.NewInt(asInteger(v)), scale) })
		}
	case *format.DateType:
		if physical == format.Int32 {
			return text(func(v parquet.Value) string {
				return time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly)
			})
		}
	case *format.TimeType:
		if integers && t.Unit.Value != nil {
			return text(func(v parquet.Value) string { return timeText(asInteger(v), t.Unit, "15:04:05.999999999") })
		}
	case *format.TimestampType:
		layout := "2006-01-02T15:04:05.999999999"
		if t.IsAdjustedToUTC {
			layout += "Z"
		}
		if physical == format.Int64 && t.Unit.Value != nil {
			return text(func(v parquet.Value) string { return timeText(v.Int64(), t.Unit, layout) })
		}
	case *format.IntType:
		switch {
		case t.IsSigned:
		case physical == format.Int64:
			c.typ = stream.TUint64
			return func(v parquet.Value) (any, error) { return uint64(v.Int64()), nil }
		case physical == format.Int32:
			c.typ = stream.TInt64
			return func(v parquet.Value) (any, error) { return int64(uint32(v.Int32())), nil }
		}
	case *format.NullType:
		return func(parquet.Value) (any, error) { return nil, faultf(Corrupt, "a value in a column of nulls") }
	case *format.UUIDType:
		if fixed && e.TypeLength.V == 16 {
			return text(func(v parquet.Value) string {
				b := v.ByteArray()
				return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
			})
		}
	case *format.Float16Type:
		if fixed && e.TypeLength.V == 2 {
			c.typ = stream.TFloat32
			return func(v parquet.Value) (any, error) { return float16(binary.LittleEndian.Uint16(v.ByteArray())), nil }
		}
	}
	return nil
}

// meaning returns the logical type of an element, also where old writers say it
// by a converted type; nil where there is none.
func meaning(e format.SchemaElement) format.LogicalTypeValue {
	if e.LogicalType.Value != nil || !e.ConvertedType.Valid {
		return e.LogicalType.Value
	}
	millis := format.TimeUnit{Value: &format.MilliSeconds{}}
	micros := format.TimeUnit{Value: &format.MicroSeconds{}}
	switch e.ConvertedType.V {
	case deprecated.UTF8, deprecated.Enum, deprecated.Json:
		return &format.StringType{}
	case deprecated.Decimal:
		return &format.DecimalType{Scale: e.Scale.V}
	case deprecated.Date:
		return &format.DateType{}
	case deprecated.TimeMillis:
		return &format.TimeType{Unit: millis}
	case deprecated.TimeMicros:
		return &format.TimeType{Unit: micros}
	case deprecated.TimestampMillis:
		return &format.TimestampType{IsAdjustedToUTC: true, Unit: millis}
	case deprecated.TimestampMicros:
		return &format.TimestampType{IsAdjustedToUTC: true, Unit: micros}
	case deprecated.Uint32, deprecated.Uint64:
		return &format.IntType{}
	}
	return nil
}

// asInteger is the value of a column of int32 or int64.
func asInteger(v parquet.Value) int64 {
	if v.Kind() == parquet.Int32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

// twosComplement decodes a big-endian integer.
func twosComplement(b []byte) *big.Int {
	i := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return i
}

// decimalText writes i / 10^scale with all its digits.
func decimalText(i *big.Int, scale int) string {
	s := new(big.Int).Abs(i).String()
	if n := scale + 1 - len(s); n > 0 {
		s = strings.Repeat("0", n) + s
	}
	if scale > 0 {
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if i.Sign() < 0 {
		s = "-" + s
	}
	return s
}

// timeText writes a time of n units after 1970-01-01T00:00:00Z.
func timeText(n int64, unit format.TimeUnit, layout string) string {
	nanos := unit.Value.Duration()
	per := int64(time.Second / nanos)
	return time.Unix(n/per, n%per*int64(nanos)).UTC().Format(layout)
}

// int96Text writes a timestamp of the old form: nanoseconds of a Julian day.
func int96Text(v deprecated.Int96) string {
	const epoch = 2440588 // the Julian day of 1970-01-01
	nanos := int64(v[1])<<32 | int64(v[0])
	return time.Unix((int64(v[2])-epoch)*24*60*60, nanos).UTC().Format("2006-01-02T15:04:05.999999999")
}

// float16 decodes an IEEE 754 half.
func float16(h uint16) float32 {
	sign := float32(1)
	if h>>15 != 0 {
		sign = -1
	}
	exp, frac := int(h>>10&31), float64(h&1023)
	switch exp {
	case 0:
		return sign * float32(math.Ldexp(frac, -24))
	case 31:
		if frac != 0 {
			return float32(math.NaN())
		}
		return sign * float32(math.Inf(1))
	}
	return sign * float32(math.Ldexp(1024+frac, exp-25))
}
