package expr

import "strings"

// quantity takes the words behind a value, a unit or others, and returns them.
// They must end what they belong to.
func (p *parser) quantity() string {
	start := p.i
	var words []string
	for {
		t := p.peek()
		switch {
		case t.kind == tokText:
			words = append(words, t.text)
		case t.kind == tokWord && scales[t.text] != "" && len(words) == 1 && words[0] == "degree":
			words[0] = scales[t.text]
		case t.kind == tokWord && t.text != "and" && t.text != "or" && (len(t.text) > 1 && t.text != "in" && IsUnit(t.text) || isWord(t.text) || len(words) > 0 && (len(t.text) > 1 || IsUnit(t.text))):
			words = append(words, t.text)
		case t.kind == tokCommand && t.text == `\degree`:
			words = append(words, "degree")
		case len(words) > 0 && t.text == "/":
			words = append(words, "/")
		case len(words) > 0 && t.text == "^":
			p.i++
			if power := p.smallPower(); power != "" {
				words = append(words, "^"+power)
				continue
			}
			p.i = start
			return ""
		default:
			if len(words) == 0 {
				return ""
			}
			if t.text == "." && p.at(1).kind == tokEnd {
				p.i++
				t = p.peek()
			}
			if t.kind == tokEnd || t.text == "and" || t.text == "or" || t.kind == tokSymbol && strings.Contains(",;)]}=<>:&", t.text) || t.kind == tokCommand && (relations[t.text] != "" || t.text == `\}` || t.text == `\end` || t.text == `\\`) {
				return strings.Join(words, " ")
			}
			p.i = start // the words go on as something else
			return ""
		}
		p.i++
	}
}

// scales are the letters behind a degree sign.
var scales = map[string]string{"C": "celsius", "F": "fahrenheit"}

// smallPower reads the exponent of a unit.
func (p *parser) smallPower() string {
	brace := p.eat("{")
	sign := ""
	if p.eat("-") {
		sign = "-"
	}
	t := p.peek()
	if t.kind != tokDigits || len(t.text) > 1 {
		return ""
	}
	p.i++
	if brace && !p.eat("}") {
		return ""
	}
	return sign + t.text
}
