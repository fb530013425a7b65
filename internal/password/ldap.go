package password

import "strings"

// ldapDigests are the schemes of RFC 2307 and OpenLDAP that are a digest of the password,
// or with an S in front of the password and a salt, which follows the digest.
var ldapDigests = map[string]string{
	"MD5": "md5", "SHA": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512",
	"SMD5": "md5", "SSHA": "sha1", "SSHA256": "sha256", "SSHA384": "sha384", "SSHA512": "sha512",
}

// ldapPBKDF2 are those of OpenLDAP's pw-pbkdf2.
var ldapPBKDF2 = map[string]string{
	"PBKDF2": "sha1", "PBKDF2-SHA1": "sha1", "PBKDF2-SHA256": "sha256", "PBKDF2-SHA512": "sha512",
}

// ldapForm takes a value of userPassword: a scheme in braces, in any case, and what is of it.
func ldapForm(text string) (string, error) {
	scheme, rest, closed := strings.Cut(text[1:], "}")
	if scheme = strings.ToUpper(scheme); !closed {
		return "", unsupported("LDAP: the scheme has no end")
	}
	if hash, ok := ldapDigests[scheme]; ok {
		return ldapDigest(scheme, hash, rest)
	}
	if hash, ok := ldapPBKDF2[scheme]; ok {
		rest = strings.ReplaceAll(strings.ReplaceAll(rest, "+", "."), "=", "")
		return "$pbkdf2-" + hash + "$" + rest, nil
	}
	switch scheme {
	case "CRYPT", "BCRYPT", "ARGON2":
		if !strings.HasPrefix(rest, "$") {
			return "", unsupported("LDAP {%s}: the DES of crypt(3), which looks at 8 characters only, or no hash", scheme)
		}
		return rest, nil
	case "CLEARTEXT", "PLAIN", "NOOP":
		return "", unsupported("LDAP {%s}: this is the password itself", scheme)
	}
	return "", unsupported("LDAP: a scheme that is not supported")
}

func ldapDigest(scheme, hash, rest string) (string, error) {
	b, err := anyBase64(rest)
	if err != nil {
		return "", unsupported("LDAP {%s}: not base64", scheme)
	}
	size, salted := digests[hash]().Size(), strings.HasPrefix(scheme, "SS") || scheme == "SMD5"
	switch {
	case len(b) < size || !salted && len(b) > size:
		return "", unsupported("LDAP {%s}: it has not the length of its digest", scheme)
	case salted && len(b) == size:
		return "", unsupported("LDAP {%s}: the salt is missing", scheme)
	case salted:
		return digestForm(hash+"({password}{salt})", b[size:], b[:size]), nil
	}
	return digestForm(hash+"({password})", nil, b), nil
}
