package register

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"

	"oncegate/license"
)

// A Command is what the department that owns a license type orders about one license. It stands over what the source says,
// until it is taken back.
type Command string

// The commands.
const (
	Suspend   Command = "suspend"   // 暂停: until reinstated
	Expire    Command = "expire"    // 到期: this version ends now, the next begins free of it
	Revoke    Command = "revoke"    // 撤销, 吊销, 注销: for good; the next version too
	Reinstate Command = "reinstate" // 恢复: lifts a suspension; after the end of a version, the next one is signed
	Supersede Command = "supersede" // 换发: this version ends, the next is signed when the source is read next
)

// Why a command is not carried out.
var (
	// ErrSuperseded says that a newer version is signed: it is the one to order about.
	ErrSuperseded = errors.New("a newer version of the license is signed")
	// ErrOrder says that the command makes no sense as the license stands.
	ErrOrder = errors.New("the license does not stand so that this can be ordered")
)

// orders says what a command makes of an order that stands; "" is none. A version that was revoked or ended never becomes
// valid again, as somebody may have been told: reinstating it has the next version signed.
var orders = map[Command]map[license.Status]license.Status{
	Suspend:   {"": license.Suspended},
	Expire:    {"": license.Expired, license.Suspended: license.Expired},
	Revoke:    {"": license.Revoked, license.Suspended: license.Revoked, license.Expired: license.Revoked, license.Superseded: license.Revoked},
	Reinstate: {license.Suspended: "", license.Expired: license.Superseded, license.Revoked: license.Superseded},
	Supersede: {"": license.Superseded},
}

// strictness ranks statuses: of what the source states and what is ordered, the stricter holds.
var strictness = map[license.Status]int{"": 0, license.Valid: 0, license.Suspended: 1, license.Expired: 2, license.Revoked: 3, license.Superseded: 4}

// EffectiveStatus is the status of a version whose source states one thing and whose department ordered another, or nothing ("").
// What is not known is the strictest.
func EffectiveStatus(stated, ordered license.Status) license.Status {
	rank := func(s license.Status) int {
		if r, known := strictness[s]; known {
			return r
		}
		return len(strictness)
	}
	if rank(ordered) > rank(stated) {
		return ordered
	}
	return stated
}

// Inherited is the order that the next version begins with: a suspension or revocation is of the license, every other end
// of the version alone.
func (v Version) Inherited() license.Status {
	if v.Ordered == license.Suspended || v.Ordered == license.Revoked {
		return v.Ordered
	}
	return ""
}

// Gone says that a newer version is signed, or that the source itself says so.
func (v Version) Gone() bool { return v.Stated == license.Superseded }

// Command returns what a command makes of a version, and the change that must commit with its record; none where it stands
// so already. The error is fs.ErrNotExist if the version was not signed here, ErrSuperseded, or ErrOrder.
func (r *Register) Command(ctx context.Context, identifier string, c Command) (Version, []any, error) {
	v, err := r.Version(ctx, identifier)
	if err != nil {
		return v, nil, err
	}
	if v.Gone() {
		return v, nil, fmt.Errorf("%s license: %w", c, ErrSuperseded)
	}
	to, makes := orders[c][v.Ordered]
	switch {
	case makes:
	case v.Ordered != "" && c == done[v.Ordered]:
		return v, nil, nil
	default:
		return v, nil, fmt.Errorf("%s license: %w", c, ErrOrder)
	}
	change := Order{Identifier: identifier, From: v.Ordered, To: to, At: truncateMillis(r.config.Now())}
	return v.ordered(change), []any{change}, nil
}

// done are the commands that an order carries out.
var done = map[license.Status]Command{
	license.Suspended: Suspend, license.Expired: Expire, license.Revoked: Revoke, license.Superseded: Supersede,
}

func (v Version) ordered(c Order) Version {
	v.Ordered, v.OrderedAt, v.Status = c.To, c.At, EffectiveStatus(v.Stated, c.To)
	return v
}

// Holds returns the status of a license as its source states it, with what is ordered of it: for what needs no signed
// version. One that was never signed stands as it is stated.
func (r *Register) Holds(ctx context.Context, l license.License) (license.Status, error) {
	subject, err := r.subject(l)
	if err != nil {
		return "", fmt.Errorf("find order: %w", err)
	}
	latest, err := r.config.Storage.Latest(ctx, subject)
	if errors.Is(err, fs.ErrNotExist) {
		return l.Status, nil
	}
	if err != nil {
		return "", fmt.Errorf("find order: %w", err)
	}
	ordered := latest.Inherited()
	if latest.Ordered == license.Expired {
		s, err := r.read(l, latest.Signed)
		if err != nil || hmac.Equal(s.content[:], latest.Content[:]) { // a changed license would be the next version
			ordered = license.Expired
		}
	}
	return EffectiveStatus(l.Status, ordered), nil
}

// Next returns the newest version of the license that a version is of.
func (r *Register) Next(ctx context.Context, v Version) (Version, error) {
	next, err := r.config.Storage.Latest(ctx, v.Subject)
	if err != nil {
		return Version{}, fmt.Errorf("find newest version: %w", err)
	}
	return next, nil
}

// A Filter says which versions are listed.
type Filter struct {
	Type   string         // catalogue id
	Issuer string         // USCC; empty: any
	Status license.Status // empty: any
	After  string         // identifier: only those behind it
	Limit  int            // at least 1
}

// Versions lists versions in the order of their identifiers, which says nothing of the order of signing.
func (r *Register) Versions(ctx context.Context, f Filter) ([]Version, error) {
	t, ok := r.config.Catalogue.Type(f.Type)
	if !ok || f.Limit < 1 {
		return nil, fmt.Errorf("list versions: %w", fs.ErrNotExist)
	}
	f.After = max(f.After, license.Root+"."+t.Code+".")
	list, err := r.config.Storage.Versions(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	return list, nil
}
