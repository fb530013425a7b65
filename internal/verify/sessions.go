package verify

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/web"
)

const (
	sessionsPath = "/ostiary/sessions"
	// sessionsPage is how many sessions an answer lists at the most.
	sessionsPage = 100
)

// sessionList is a part of an account's live sessions, by id. If there are more, Next is
// the last one's id: ?after=<id> asks for those after it.
type sessionList struct {
	Sessions []session `json:"sessions"`
	Next     string    `json:"next,omitempty"`
}

// session is one of them. Its times are NumericDates (RFC 7519 section 2); by Expires it
// is over even if it is used until then.
type session struct {
	Session  uuid.UUID    `json:"session"`
	Dialect  auth.Dialect `json:"dialect"`
	Client   string       `json:"client"` // User-Agent of the login
	Address  string       `json:"address"`
	AuthTime int64        `json:"auth_time"`
	LastUsed int64        `json:"last_used"` // to a minute
	Expires  int64        `json:"expires"`
	Current  bool         `json:"current"` // the one that asks
}

// listOrEnd is the endpoint that lists, with another one for DELETE.
type listOrEnd struct {
	web.Endpoint[web.None, sessionList]
	end http.Handler
}

func (h listOrEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete {
		h.end.ServeHTTP(w, r)
		return
	}
	h.Endpoint.ServeHTTP(w, r)
}

// sessions lists the live sessions of the bearer's account, or ends them all, the one
// that asks included.
func (s surface) sessions(challenge string) http.Handler {
	methods := []string{http.MethodGet, http.MethodDelete}
	return listOrEnd{
		web.Endpoint[web.None, sessionList]{Methods: methods, Body: web.BodyUnread, Challenge: challenge, Run: s.listSessions},
		web.Endpoint[web.None, web.None]{
			Methods: methods, Body: web.BodyUnread, Challenge: challenge, Success: http.StatusNoContent, Run: s.endSessions,
		},
	}
}

// oneSession ends the session that the path names. One of another account is as good as
// none, and so is anything else that is no live session's id.
func (s surface) oneSession(challenge string) http.Handler {
	return web.Endpoint[web.None, web.None]{
		Methods: []string{http.MethodDelete}, Body: web.BodyUnread, Challenge: challenge,
		Success: http.StatusNoContent, Run: s.endSession,
	}
}

func (s surface) listSessions(ctx context.Context, r *web.Request, _ web.None) (list sessionList, err error) {
	p, err := held(r)
	if err != nil {
		return list, err
	}
	after, err := afterOf(r)
	if err != nil {
		return list, err
	}
	found, current, err := s.svc.OwnSessions(ctx, s.realm, p, after, sessionsPage+1)
	if err != nil {
		return list, err
	}
	if len(found) > sessionsPage {
		found = found[:sessionsPage]
		list.Next = found[sessionsPage-1].ID.String()
	}
	list.Sessions = make([]session, len(found))
	for i, f := range found {
		list.Sessions[i] = session{
			Session: f.ID, Dialect: f.Dialect, Client: f.UserAgent, Address: f.Address, AuthTime: f.AuthTime.Unix(),
			LastUsed: f.LastUsedAt.Unix(), Expires: f.ExpiresAt.Unix(), Current: f.ID == current,
		}
	}
	return list, nil
}

// afterOf is where the query wants the list to go on.
func afterOf(r *web.Request) (after uuid.UUID, err error) {
	values := r.URL.Query()["after"]
	if len(values) == 0 {
		return uuid.Nil, nil
	}
	after, ok := auth.ParseID(values[0])
	if !ok || len(values) > 1 {
		return uuid.Nil, auth.Errorf(auth.CodeInvalidInput, "after: not the id of a session")
	}
	return after, nil
}

func (s surface) endSessions(ctx context.Context, r *web.Request, _ web.None) (none web.None, err error) {
	p, err := held(r)
	if err != nil {
		return none, err
	}
	return none, s.svc.EndOwnSessions(ctx, s.realm, p, r.Client)
}

func (s surface) endSession(ctx context.Context, r *web.Request, _ web.None) (none web.None, err error) {
	p, err := held(r)
	if err != nil {
		return none, err
	}
	_, text, _ := strings.Cut(sentPath(r.URL), sessionsPath+"/")
	id, _ := auth.ParseID(text) // or else the one that no session has
	return none, s.svc.EndOwnSession(ctx, s.realm, p, id, r.Client)
}
