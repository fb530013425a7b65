package password

// ForeignOptions say of a hash what another system keeps apart from it.
type ForeignOptions struct {
	Salt     string    // of a Template as it is, of Firebase in base64
	Template string    // what a bare digest is of, such as "md5({salt}{password})"
	Firebase *Firebase // the parameters of the project, for its bare hashes; nil: none are
}

// Firebase are the parameters that a Firebase project hashes with; the console shows them.
type Firebase struct {
	SignerKey     string // base64
	SaltSeparator string // base64
	Rounds        int
	MemoryCost    int
}

// Foreign makes the stored form of a hash that another system made, which Check takes. Its
// error wraps ErrUnsupported, names the format and what is wrong with it, and does not
// contain the hash.
func Foreign(text string, o ForeignOptions) (stored string, err error) {
	if o.Salt != "" {
		return "", unsupported("this format has its salt in it: leave salt out")
	}
	return text, Check(text)
}
