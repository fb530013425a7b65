package auth

import (
	"cmp"
	"context"
)

// Shadowed is a request whose mount may have it answered by the server that it takes over
// from. It is in the request's context under ShadowedKey.
type Shadowed interface {
	// Own is told that this server answers the request, whatever the Elder has said.
	Own()
	// Sending returns a context in which the Elder's next question is the request itself. It
	// refuses one that another server could read in another way than was read here: what it
	// then tried would be counted for somebody else.
	Sending(ctx context.Context, s Sent) (context.Context, error)
	// Judged is told what the Elder made of it, and what this server would have on its own:
	// "" if it was let in, or why not, as the audit log has it.
	Judged(theirs, own string)
	// Learned is told that both let it in, and why this server would not have until then: the
	// account or its password was learned from the Elder's answer.
	Learned(own string)
}

// Renewer is an Elder whose tokens get others.
type Renewer interface {
	// Renew tries a token. CodeTokenInvalid if the server refuses it, CodeUnavailable as
	// [Elder] has it. The Newcomer may have a subject alone.
	Renew(ctx context.Context, token Secret, cl Client) (*Newcomer, error)
}

// ShadowedKey is the key of a Shadowed in its context.
type ShadowedKey struct{}

// Sent is what was read of a request, and is counted. What it has none of is empty.
type Sent struct {
	Name     string
	Password Secret
	Token    Secret // of an earlier answer
	Code     Secret
}

// shadowed is the request of ctx, if the Elder of a mount answers it; nil: this server does.
// rec is the account that has the name; nil: none has it.
func (m *Mount) shadowed(ctx context.Context, rec *AccountRecord, name string) Shadowed {
	x := m.shadow(ctx)
	if x != nil && m.Mode == ModeSplit && m.Split.moved(rec, name) {
		x.Own()
		return nil
	}
	return x
}

// own says that this server answers the request of ctx.
func (m *Mount) own(ctx context.Context) {
	if x := m.shadow(ctx); x != nil {
		x.Own()
	}
}

// shadow is the request of ctx, if the Elder of the mount answers any; else nil.
func (m *Mount) shadow(ctx context.Context) Shadowed {
	if m == nil || m.Elder == nil || m.Mode != ModeShadow && m.Mode != ModeSplit {
		return nil
	}
	x, _ := ctx.Value(ShadowedKey{}).(Shadowed)
	return x
}

// moved tells whether this server answers the logins of an account, or of a name that no
// account has. An account has one place, whichever of its names is typed.
func (s Split) moved(rec *AccountRecord, name string) bool {
	if rec == nil {
		return s.Ours(name)
	}
	if s.Accounts[nameKey(rec.Username)] || s.Accounts[nameKey(rec.Email)] {
		return true
	}
	return s.Ours(cmp.Or(rec.Username, rec.Email))
}
