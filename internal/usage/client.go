package usage

import "strings"

// maxClient is how much is kept of a client's name.
const maxClient = 48

// browsers are the products that a browser's User-Agent names behind others, the more
// particular first: most say that they are several.
var browsers = [...]string{"Edg/", "OPR/", "SamsungBrowser/", "Firefox/", "FxiOS/", "CriOS/", "Chrome/", "Version/"}

// Client is a User-Agent shortened to its first product and its version (RFC 9110, section
// 10.1.5), without comments: "okhttp/4.12.0". Of a browser, it is the one that it is, and the
// number before the first dot: "Firefox/128". It is empty if there is no product.
func Client(agent string) string {
	if strings.HasPrefix(agent, "Mozilla/") {
		for _, name := range browsers {
			if i := strings.Index(agent, name); i >= 0 {
				version := digits(agent[i+len(name):])
				if name == "Version/" {
					name = "Safari/"
				}
				return name + version
			}
		}
	}
	name := token(agent)
	if name == "" {
		return ""
	}
	end := len(name)
	if rest := agent[end:]; strings.HasPrefix(rest, "/") {
		if version := token(rest[1:]); version != "" {
			end += 1 + len(version)
		}
	}
	return agent[:min(end, maxClient)]
}

// token is what a text begins with that is a token (RFC 9110, section 5.6.2).
func token(s string) string {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return s[:i]
		}
	}
	return s
}

// digits are those that a text begins with, but not more than a version needs.
func digits(s string) string {
	n := 0
	for n < len(s) && n < 5 && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n]
}
