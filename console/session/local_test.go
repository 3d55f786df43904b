package session_test

import (
	"net/url"
	"testing"
	"time"

	"oncegate/console/session"
)

func TestSignIn(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		if a := b.get("/console/"); a.status != 303 || a.location != "/console/sign-in" {
			t.Fatalf("nobody is signed in: %d %s", a.status, a.location)
		}
		home := b.signIn("clerk-1", "desk", "3", "hall", hall)
		if home.Page != "Session" || home.View.Person.ID != "clerk-1" || home.View.Person.Proof != "asserted" || home.View.SessionHall != hall || home.View.SessionDesk != "3" {
			t.Fatalf("home page: %s", home.text)
		}
		if want := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC); !home.View.Ends.Equal(want) {
			t.Errorf("the session ends at %s, not when the hall closes", home.View.Ends)
		}
		if a := b.do("POST", "/console/sign-out", url.Values{"form": {home.View.FormOf}}); a.status != 303 {
			t.Fatalf("sign out: %d %s", a.status, a.text)
		}
		if a := b.get("/console/"); a.status != 303 {
			t.Fatalf("after signing out: %s", a.text)
		}
		if len(r.events) != 2 || r.events[0].Kind != "console.sign-in" || r.events[1].Kind != "console.sign-out" || r.events[1].Person.ID != "clerk-1" {
			t.Errorf("recorded: %+v", r.events)
		}
	})
}

func TestLock(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		b := r.browser("192.0.2.1")
		home := b.signIn("clerk-2", "hall", otherHall)
		r.pass(20 * time.Minute)
		locked := b.do("POST", session.TestRoute, url.Values{"form": {home.View.FormOf}, "no": {"SP-1"}})
		if locked.Page != "Lock" || !locked.View.Kept {
			t.Fatalf("a post met the lock: %s", locked.text)
		}
		if a := b.do("POST", "/console/unlock", url.Values{"form": {home.View.FormOf}, "code": {"000000"}}); a.Page != "Lock" || a.View.Fault != "sign-in-wrong" {
			t.Fatalf("a wrong code: %s", a.text)
		}
		before := b.cookies()["oncegate-session"]
		if a := b.do("POST", "/console/unlock", url.Values{"form": {home.View.FormOf}, "code": {r.code("clerk-2")}}); a.Page != "Session" {
			t.Fatalf("unlock: %d %s", a.status, a.text)
		}
		if after := b.cookies()["oncegate-session"]; after == before {
			t.Error("the id of the session was not renewed")
		}
		if a := b.get("/console/"); a.Page != "Session" || len(r.posts) != 1 {
			t.Errorf("the post was not carried out: %s", a.text)
		}
	})
}
