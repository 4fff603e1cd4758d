package expr

import (
	"math/big"
	"strconv"
	"strings"
)

// A Unit is a product of powers of base units times a factor.
type Unit struct {
	Factor *big.Rat
	Base   map[string]int // exponents, none 0
}

// unitNames maps the names of units to factor and base unit.
var unitNames = map[string]struct {
	factor *big.Rat
	base   string
}{}

func init() {
	for _, line := range strings.Split(strings.TrimSpace(`
1 m: m meter meters metre metres
1/100 m: cm centimeter centimeters centimetre centimetres
1/1000 m: mm millimeter millimeters
1000 m: km kilometer kilometers kilometre kilometres
1 in: in inch inches
12 in: ft foot feet
36 in: yd yard yards
63360 in: mi mile miles
1 s: s sec secs second seconds
60 s: min mins minute minutes
3600 s: h hr hrs hour hours
86400 s: day days
604800 s: week weeks
1 month: month months
12 month: year years
1 g: g gram grams
1000 g: kg kilogram kilograms
1/1000 g: mg milligram milligrams
16 oz: lb lbs pound pounds
1 oz: oz ounce ounces
1 ton: ton tons
1 l: l liter liters litre litres
1/1000 l: ml mL milliliter milliliters
1 gal: gal gallon gallons
1 dollar: dollar dollars usd
1/100 dollar: cent cents ¢
1 yuan: yuan
1 euro: euro euros
1 degree: degree degrees deg
1 celsius: celsius
1 fahrenheit: fahrenheit
1 radian: radian radians rad
1 am: am
1 pm: pm
1 J: joule joules J
1 N: newton newtons N
1 W: watt watts W
1 K: kelvin K`), "\n") {
		head, names, _ := strings.Cut(line, ":")
		factor, base, _ := strings.Cut(head, " ")
		f, ok := new(big.Rat).SetString(factor)
		if !ok {
			panic("expr: factor of a unit: " + factor)
		}
		for _, n := range strings.Fields(names) {
			unitNames[n] = struct {
				factor *big.Rat
				base   string
			}{f, base}
		}
	}
}

// IsUnit says whether a word is a unit or belongs to one.
func IsUnit(word string) bool {
	if _, ok := unitNames[word]; ok {
		return true
	}
	switch word {
	case "percent", "square", "sq", "cubic", "cu", "per", "unit", "units", "mph", "kph":
		return true
	}
	_, ok := unitNames[strings.ToLower(word)]
	return ok && len(word) > 1
}

// UnitOf reads the unit that words name: "square cm", "cm ^2" and "km / h"; false
// if any word is no unit, or none says what is counted, as in "square units".
func UnitOf(words string) (Unit, bool) {
	u := Unit{big.NewRat(1, 1), map[string]int{}}
	next, sign := 1, 1
	last := func(int) {} // changes the power of the last unit
	fields := strings.Fields(strings.NewReplacer("/", " / ", "^", " ^", "·", " ", ".", " ", "{", "", "}", "", "~", " ", `\`, " ").Replace(words))
	for _, w := range fields {
		switch lower := strings.ToLower(w); {
		case lower == "square" || lower == "sq":
			next = 2
		case lower == "cubic" || lower == "cu":
			next = 3
		case lower == "per" || w == "/":
			sign = -1
		case lower == "squared":
			last(2)
		case lower == "cubed":
			last(3)
		case w[0] == '^':
			n, err := strconv.Atoi(w[1:])
			if err != nil || max(n, -n) > 9 {
				return Unit{}, false
			}
			last(n)
		case lower == "mph":
			u.add("mile", 1)
			u.add("hour", -1)
		case lower == "kph":
			u.add("km", 1)
			u.add("hour", -1)
		default:
			if _, ok := unitNames[w]; !ok {
				if _, ok = unitNames[lower]; !ok || len(w) == 1 {
					return Unit{}, false
				}
				w = lower
			}
			if w == "celsius" || w == "fahrenheit" { // degrees of temperature
				delete(u.Base, "degree")
			}
			power := sign * next
			u.add(w, power)
			last = func(n int) { u.add(w, power*(n-1)) }
			next, sign = 1, 1
		}
	}
	return u, len(u.Base) > 0
}

// add multiplies u by a power of a unit.
func (u *Unit) add(name string, power int) {
	n := unitNames[name]
	for range max(power, -power) {
		if power > 0 {
			u.Factor = new(big.Rat).Mul(u.Factor, n.factor)
		} else {
			u.Factor = new(big.Rat).Quo(u.Factor, n.factor)
		}
	}
	if u.Base[n.base] += power; u.Base[n.base] == 0 {
		delete(u.Base, n.base)
	}
}
