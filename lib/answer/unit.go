package answer

import "strings"

// units maps the names of units to one spelling. A unit behind a number is left
// out of the comparison, unless both answers have one and they are different.
var units = map[string]string{}

func init() {
	for _, line := range strings.Split(strings.TrimSpace(`
m meter meters metre metres
cm centimeter centimeters centimetre centimetres
mm millimeter millimeters
km kilometer kilometers kilometre kilometres
in inch inches
ft foot feet
yd yard yards
mi mile miles
s sec secs second seconds
min mins minute minutes
h hr hrs hour hours
day days
week weeks
month months
year years
g gram grams
kg kilogram kilograms
mg milligram milligrams
lb lbs pound pounds
oz ounce ounces
ton tons
l liter liters litre litres
ml milliliter milliliters
gal gallon gallons
$ dollar dollars usd
¢ cent cents
yuan
euro euros
degree degrees deg
radian radians rad
percent
unit units
mph
kph`), "\n") {
		names := strings.Fields(line)
		for _, n := range names {
			units[n] = names[0]
		}
	}
}

// plainUnit says whether a word outside of a text command is read as a unit:
// single letters are variables there, and "in" a word.
func plainUnit(word string) bool {
	_, ok := units[strings.ToLower(word)]
	return ok && len(word) > 1 && word != "in"
}

// unitName returns one spelling of the unit that words name: "square cm" and
// "cm ^2" are the same; empty if any word is no unit.
func unitName(words []string) string {
	var out []string
	power := ""
	for _, w := range words {
		switch w = strings.ToLower(strings.Trim(w, ".")); w {
		case "square", "sq":
			power = "^2"
			continue
		case "cubic", "cu":
			power = "^3"
			continue
		case "per", "/":
			out = append(out, "/")
			continue
		}
		if strings.HasPrefix(w, "^") && len(out) > 0 {
			out[len(out)-1] += w
			continue
		}
		u, ok := units[w]
		if !ok {
			return ""
		}
		if u == "unit" { // square units are as good as none
			return ""
		}
		out = append(out, u+power)
		power = ""
	}
	return strings.Join(out, " ")
}
