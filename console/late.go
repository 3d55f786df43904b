package console

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"time"

	"oncegate/api"
)

// A page answers in three seconds, and a source may need longer. What came must then stand on the page, and nothing may be shown before its record
// is durable. So a check waits for its sources only as long as its page may (wait_ms): its record says of the late ones that they have not answered,
// and releases the others. The form then checks the late materials once more behind the page, which is a call of its own with a record of its own,
// and is answered by the question that is under way. The page shows both as one, and reading it calls nothing.
//
// It was weighed to leave the check one call and to tell on its page which sources have answered. But which source is asked, and when, depends on
// consents, on roles that another source confirms, and on what the case is: that would tell of somebody before there is a record of it.

// leastWait is the shortest wait for sources of a check whose page has little time left.
const leastWait = 500 * time.Millisecond

// longestWait is how long the second check waits.
const longestWait = 10 * time.Second

// lateMargin is what is left of the page's time for the check's record and the page itself.
const lateMargin = 400 * time.Millisecond

// checkWait is how long the check of a form that was sent at a moment may wait for its sources, in milliseconds as the call has it.
func (c *Console) checkWait(began time.Time) int {
	return int(min(max(c.Late-lateMargin-time.Since(began), leastWait), longestWait) / time.Millisecond)
}

// isLate reports whether the source of a material had not answered when its check stopped waiting.
func isLate(m api.CheckedMaterial) bool {
	return m.State == api.MaterialStateUnavailable && (m.Reason.Code == "source-late" || m.Reason.Code == "role-source-late")
}

// lateOf are the materials of an answer of which a source is late, by code, each once.
func lateOf(a *api.CheckAnswer) (codes []string) {
	for _, m := range a.Materials {
		if isLate(m) && !slices.Contains(codes, m.Material) {
			codes = append(codes, m.Material)
		}
	}
	return codes
}

// laterID is under which key the second check of a form is kept.
func (v *visit) laterID(once string) string {
	sum := v.console.NewSM3()
	_, _ = sum.Write([]byte("later " + once))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// checkLate checks the late materials of a case once more, behind the page. Where too much goes on already it does not, and the page says that
// they could not be got.
func (v *visit) checkLate(k counterCase) {
	codes := lateOf(k.Answer)
	if len(codes) == 0 {
		return
	}
	key := v.laterID(k.ID)
	behind := context.WithoutCancel(v.r.Context())
	_, err := v.console.errands.begin(v.FormToken+key, func(*errand) {
		ctx, cancel := context.WithTimeout(behind, v.console.Call+5*time.Second)
		defer cancel()
		later := counterCase{ID: key, Began: v.console.Now(), Ask: k.Ask}
		later.check(ctx, v, api.CheckRequest{Notice: v.hall.Notice.Version, Materials: codes, WaitMs: int(longestWait / time.Millisecond)})
		if later.elsewhere() {
			return
		}
		if err := v.keep(behind, key, later); err != nil {
			v.console.Logger.ErrorContext(behind, "reply was not kept", "error", err.Error())
		}
	})
	if err != nil {
		v.console.Logger.WarnContext(behind, "late materials are not checked again", "error", err.Error())
	}
}

// counterCase reads what is kept of a case, with what came late in its place.
func (v *visit) counterCase(id string) (counterCase, error) {
	k, err := kept[counterCase](v, id)
	if err != nil || k.Answer == nil || len(lateOf(k.Answer)) == 0 {
		return k, err
	}
	later, err := kept[counterCase](v, v.laterID(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.Awaited = v.now.Sub(k.Began) <= underWay
		return k, nil
	case err != nil:
		return k, err
	case later.Answer == nil:
		k.Later, k.LaterRecorded = later.Record, later.Recorded
		return k, nil
	}
	k.Answer.Materials = withLater(k.Answer.Materials, later.Answer.Materials)
	k.Later, k.LaterRecorded = later.Record, true
	k.Receipts = slices.Concat(k.Receipts, later.Receipts)
	return k, nil
}

// withLater puts what a second check found in the place of what a first one found of the same materials. A material that several parties have
// stands once for each of them, in the order of the case.
func withLater(first, later []api.CheckedMaterial) []api.CheckedMaterial {
	out, taken := slices.Clone(first), make([]bool, len(later))
	for i, m := range first {
		at := 0
		for ; at < len(later); at++ {
			if !taken[at] && later[at].Matter == m.Matter && later[at].Material == m.Material {
				taken[at] = true
				break
			}
		}
		if at < len(later) {
			out[i] = later[at]
		}
	}
	return out
}
