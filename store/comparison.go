package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
	"oncegate/store/sqldb"
)

// What may be wrong with a row.
const (
	rowExtra    = "no record makes this row"
	rowMissing  = "the row that the record makes or changes is missing"
	rowPlain    = "columns that never change are not as the record that made the row binds them"
	rowMutable  = "columns that change are not as the record that last changed the row binds them"
	rowNamed    = "the row does not name the record that last changed it"
	rowPerson   = "the personal value is not the one that the record commits to"
	rowUnproven = "the personal value has no randomness that proves it, although a record commits to it"
	rowUnread   = "a column cannot be read"
)

// A comparison holds the rows of the tables against a replay.
type comparison struct {
	*replay
	db   *DB
	tags audit.StateCheck
	sums sums // what the rows add up to

	foreign audit.StateCheck // tags under keys that are not in the keystore
	keyLost bool             // what the rows add up to was sealed under such a key, too

	sealed   audit.StateCheck  // that the files of filings are there
	notValid map[string]*sum   // by list
	files    map[string]string // by filing whose file is not erased: the file's digest
	unknown  int               // personal values under a key that is lost
	orders   map[int64]int64   // by record: what a place within it differs by from the column n
}

// row looks at the tag of a row of a summed table, and adds it up.
func (c *comparison) row(table, key string, mac []byte, columns []any) {
	c.tags.Checked++
	c.rows.Checked++
	c.tagged(&c.tags, table, key, 0, mac, columns)
	c.sums.of(table).add(c.db.weight(table, mac))
}

// tagged looks at a tag. One under a key that is not there is either of a key that was lost, or made up: the sums say which.
func (c *comparison) tagged(check *audit.StateCheck, table, key string, pos int64, mac []byte, columns []any) {
	var err error
	withText(table, columns, func(text []byte) { err = c.db.config.Sealer.CheckTag(mac, text) })
	if c.db.lostKey(err) {
		check = &c.foreign
	}
	if err != nil {
		c.fault(check, table, key, pos, "the row has no tag of our keys: it was written without them")
	}
}

// expected says whether a row that the records tell of can be held against them: the record that it names must be the one that last
// changed it, or one that took it on afterwards.
func (c *comparison) expected(table, key string, s *rowState, pos int64) bool {
	s.seen = true
	if c.lost[pos] || c.lost[s.pos] {
		return false // that is said of the record
	}
	if pos != s.pos && !c.adopted(table, s.pos, pos) {
		c.fault(&c.rows, table, key, s.pos, rowNamed)
	}
	return true
}

// adopted reports whether pos is a record that took on a row that was last changed at last, and counts the row.
func (c *comparison) adopted(table string, last, pos int64) bool {
	for _, a := range c.adoptions {
		if a.pos == pos && pos > last {
			a.renaming[table]++
			return true
		}
	}
	return false
}

// unmade takes a row that no record makes: it was there before records bound changes, or it is somebody's invention. s is nil where no
// record changes it either.
func (c *comparison) unmade(table, key string, s *rowState, pos int64) {
	if c.lost[pos] {
		return
	}
	if len(c.adoptions) == 0 || !c.adoptions[0].first || s == nil && table != "case_received" && !c.adopted(table, 0, pos) {
		c.fault(&c.rows, table, key, 0, rowExtra)
		return
	}
	c.old[table]++
}

// plain compares the columns that never change, of a row that a record makes.
func (c *comparison) plain(table, key string, s *rowState, is [32]byte) {
	if is != s.plain {
		c.fault(&c.rows, table, key, s.pos, rowPlain)
	}
}

func (c *comparison) mutable(table, key string, s *rowState, same bool) {
	if !same {
		c.fault(&c.rows, table, key, s.pos, rowMutable)
	}
}

// person compares the commitment to a personal value that was opened with its r, with err as openPersonal gave it.
func (c *comparison) person(table, key string, s *rowState, r []byte, value any, err error) {
	switch {
	case c.db.lostKey(err):
		c.unknown++
		return
	case err != nil:
		c.fault(&c.rows, table, key, s.pos, rowUnread)
		return
	case !s.made: // no record commits to it
		return
	case r == nil:
		c.fault(&c.rows, table, key, s.pos, rowUnproven)
		return
	}
	commitment, err := audit.CommitmentTo(c.newSM3, r, value)
	if err != nil || commitment != canonical.Base64(s.person[:]) {
		c.fault(&c.rows, table, key, s.pos, rowPerson)
	}
}

// tables reads every row of the summed tables.
func (c *comparison) tables(ctx context.Context, q sqldb.Querier) error {
	for _, t := range []struct {
		text string
		scan func(*sql.Rows) error
		rest func()
	}{
		{selectCase, c.oneCase, func() { missing(c, "cases", c.cases, func(s *caseState) *rowState { return &s.rowState }) }},
		{selectReceived + "ORDER BY pos, n", c.receivedRows(), c.receivedMissing},
		{selectConsent, c.oneConsent, func() {
			missing(c, "consents", c.consents, func(s *consentState) *rowState { return &s.rowState })
		}},
		{selectFiling, c.oneFiling, func() {
			missing(c, "filings", c.filings, func(s *filingState) *rowState { return &s.rowState })
		}},
		{"SELECT id, sealed FROM filed_files ", c.oneFile, c.filesMissing},
		{selectVersion, c.oneVersion, func() {
			missing(c, "versions", c.versions, func(s *versionState) *rowState { return &s.rowState })
		}},
		{selectList, c.oneList, c.listsMissing},
		{selectPolicySet, c.onePolicySet, func() { missing(c, "policy_sets", c.policySets, func(s *rowState) *rowState { return s }) }},
	} {
		if err := sqldb.Each(ctx, q, t.scan, t.text); err != nil {
			return err
		}
		t.rest()
	}
	return nil
}

// missing names the rows that records make, or change, and that are not there.
func missing[S any](c *comparison, table string, all map[string]S, of func(S) *rowState) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if s := of(all[key]); !s.seen {
			c.fault(&c.rows, table, key, s.pos, rowMissing)
		}
	}
}

func (c *comparison) oneCase(rows *sql.Rows) error {
	r := &caseRow{}
	if err := r.scan(rows); err != nil {
		return err
	}
	const table = "cases"
	c.row(table, r.no, r.mac, r.columns())
	s := c.cases[r.no]
	if s == nil || !s.made {
		c.unmade(table, r.no, stateOf(s), r.pos)
	}
	if s == nil || !c.expected(table, r.no, &s.rowState, r.pos) {
		return nil
	}
	var parts []cases.Part
	if err := json.Unmarshal([]byte(r.parts), &parts, json.RejectUnknownMembers(true)); err != nil {
		c.fault(&c.rows, table, r.no, s.pos, rowUnread)
		return nil
	}
	matters := make([]string, len(parts))
	for i, p := range parts {
		matters[i] = p.Matter
	}
	if s.made {
		c.plain(table, r.no, &s.rowState, plainCase(r.no, r.matter, matters, r.registrar, r.attestation, r.accepted, r.registered))
	}
	c.mutable(table, r.no, &s.rowState, r.closed == s.closed && r.revision == s.revision)
	parties, random, err := openPersonal[[]cases.Party](c.db, r.parties, partiesAAD(r.no))
	c.person(table, r.no, &s.rowState, random, cases.PartiesCommitted(parties), err)
	return nil
}

// stateOf returns the row's state of what may be nil.
func stateOf[S interface{ state() *rowState }](s S) *rowState { return s.state() }

func (s *caseState) state() *rowState {
	if s == nil {
		return nil
	}
	return &s.rowState
}

func (s *consentState) state() *rowState {
	if s == nil {
		return nil
	}
	return &s.rowState
}

func (s *filingState) state() *rowState {
	if s == nil {
		return nil
	}
	return &s.rowState
}

func (s *versionState) state() *rowState {
	if s == nil {
		return nil
	}
	return &s.rowState
}

func (c *comparison) oneConsent(rows *sql.Rows) error {
	r := &consentRow{}
	if err := r.scan(rows); err != nil {
		return err
	}
	const table = "consents"
	c.row(table, r.id, r.mac, r.columns())
	s := c.consents[r.id]
	if s == nil || !s.made {
		c.unmade(table, r.id, stateOf(s), r.pos)
	}
	holder, random, err := openPersonal[license.HolderID](c.db, r.sealedHolder, holderAAD(r.id))
	if err == nil && string(c.db.holderDigest(holder)) != string(r.holder) {
		c.fault(&c.rows, table, r.id, 0, "the digest that the consent is looked up by is not that of its holder")
	}
	if s == nil || !c.expected(table, r.id, &s.rowState, r.pos) {
		return nil
	}
	var types, matters []string
	if json.Unmarshal([]byte(r.types), &types) != nil || json.Unmarshal([]byte(r.matters), &matters) != nil {
		c.fault(&c.rows, table, r.id, s.pos, rowUnread)
		return nil
	}
	if s.made {
		c.plain(table, r.id, &s.rowState, plainConsent(r.id, r.system, types, matters, r.expires, r.evidence, r.digest, r.given))
	}
	c.mutable(table, r.id, &s.rowState, r.withdrawn == s.withdrawn)
	c.person(table, r.id, &s.rowState, random, cases.HolderCommitted(holder), err)
	return nil
}

func (c *comparison) oneFiling(rows *sql.Rows) error {
	r := &filingRow{}
	if err := r.scan(rows); err != nil {
		return err
	}
	const table = "filings"
	c.row(table, r.id, r.mac, r.columns())
	if r.erased == 0 {
		c.files[r.id] = r.digest
	}
	s := c.filings[r.id]
	if s == nil || !s.made {
		c.unmade(table, r.id, stateOf(s), r.pos)
	}
	known, random, err := openPersonal[knownFiling](c.db, r.person, filingAAD(r.id))
	if err == nil && string(c.db.filingDigest(known.Holder)) != string(r.holder) {
		c.fault(&c.rows, table, r.id, 0, "the digest that the filed material is looked up by is not that of its holder")
	}
	if s == nil || !c.expected(table, r.id, &s.rowState, r.pos) {
		return nil
	}
	if s.made {
		c.plain(table, r.id, &s.rowState, plainFiling(cases.BoundFile{
			ID: r.id, Type: r.kind, CaseNo: r.caseNo, Matter: r.matter, Material: r.material, Department: r.department, BySystem: r.bySystem, Proof: r.proof,
			Verification: r.verification, Level: r.level, Digest: r.digest, Media: r.media, Size: int(r.size), Filed: r.filed, ValidUntil: license.Date(r.validUntil), KeepUntil: r.keepUntil,
		}))
	}
	c.mutable(table, r.id, &s.rowState, r.withdrawn == s.withdrawn && r.withdrawnBy == s.by && r.erased == s.erased)
	c.person(table, r.id, &s.rowState, random, cases.FilingCommitted(known.Holder, known.Verifier), err)
	return nil
}

// oneFile comes after all filings: the file must be one that is not erased, and the one that was filed. It is sealed to its row and has no
// tag besides.
func (c *comparison) oneFile(rows *sql.Rows) error {
	const table = "filed_files"
	var id string
	var sealed []byte
	if err := rows.Scan(&id, &sealed); err != nil {
		return err
	}
	c.sealed.Checked++
	digest, there := c.files[id]
	delete(c.files, id)
	content, err := c.db.config.Sealer.Open(sealed, fileAAD(id))
	switch {
	case !there:
		c.fault(&c.sealed, table, id, 0, "the file is of no filed material, or of one whose file was erased")
	case c.db.lostKey(err):
		c.unknown++
	case err != nil:
		c.fault(&c.sealed, table, id, 0, rowUnread)
	case canonical.Digest(c.newSM3, content) != digest:
		c.fault(&c.sealed, table, id, 0, "the file is not the one that was filed")
	}
	return nil
}

func (c *comparison) filesMissing() {
	for _, id := range slices.Sorted(maps.Keys(c.files)) {
		c.fault(&c.sealed, "filed_files", id, 0, rowMissing)
	}
}

func (c *comparison) oneVersion(rows *sql.Rows) error {
	r := &versionRow{}
	if err := r.scan(rows, true); err != nil {
		return err
	}
	const table = "versions"
	c.row(table, r.Identifier, r.mac, r.columns())
	if string(c.db.jwtDigest(r.JWT)) != string(r.jwtDigest) {
		c.fault(&c.tags, table, r.Identifier, 0, "the signed license is not the one that the row's tag is over")
	}
	if r.Status != license.Valid {
		if c.notValid[r.List] == nil {
			c.notValid[r.List] = &sum{}
		}
		c.notValid[r.List].add(c.db.weight(table, r.mac))
	}
	l := entry(c.lists, r.List)
	l.versions++
	l.last = max(l.last, r.pos)
	s := c.versions[r.Identifier]
	if s == nil || !s.made {
		l.old++
		c.unmade(table, r.Identifier, stateOf(s), r.pos)
	}
	if s == nil || !c.expected(table, r.Identifier, &s.rowState, r.pos) {
		return nil
	}
	if s.made {
		h := c.newSM3()
		h.Write([]byte(r.JWT))
		c.plain(table, r.Identifier, &s.rowState, plainVersion(canonical.Base64(r.Subject[:]), r.Number, r.Type, r.Issuer, r.Serial, r.Identifier, canonical.Base64(r.Content[:]),
			canonical.Base64(h.Sum(nil)), r.KeyID, canonical.Micros(r.Signed), r.List, r.Slot))
	}
	status := s.status
	if status == "" { // half of it is not known: it follows from the row's own
		status = register.EffectiveStatus(r.Stated, r.Ordered)
	}
	c.mutable(table, r.Identifier, &s.rowState, r.Status == status &&
		(!s.statedKnown || r.Stated == s.stated && canonical.Micros(r.StatusAt) == s.statedAt) &&
		(!s.orderKnown || r.Ordered == s.ordered && canonical.Micros(r.OrderedAt) == s.orderedAt))
	return nil
}

func (c *comparison) onePolicySet(rows *sql.Rows) error {
	r := &policySetRow{}
	if err := r.scan(rows); err != nil {
		return err
	}
	const table = "policy_sets"
	c.row(table, r.digest, r.mac, r.columns())
	s := c.policySets[r.digest]
	switch {
	case s == nil:
		c.unmade(table, r.digest, nil, r.pos)
	case r.pos < s.pos && c.adopted(table, 0, r.pos): // it was there already when a record bound it first
		s.seen = true
		c.old[table]++
	default:
		c.expected(table, r.digest, s, r.pos)
	}
	var files []audit.File
	err := json.Unmarshal(r.files, &files)
	if err == nil {
		var digest string
		if digest, err = canonical.FilesDigest(c.newSM3, files); err == nil && digest != r.digest {
			err = audit.ErrAltered
		}
	}
	if err != nil {
		c.fault(&c.rows, table, r.digest, 0, "the files are not those that the digest names")
	}
	return nil
}

// receivedRows takes the rows in the order of the log, as the replay has them.
func (c *comparison) receivedRows() func(*sql.Rows) error {
	at := 0
	first := map[int64]int{} // by record: where its own begin
	return func(rows *sql.Rows) error {
		r := receivedRow{}
		if err := r.scan(rows); err != nil {
			return err
		}
		const table = "case_received"
		c.row(table, r.key(), r.mac, r.columns())
		for at < len(c.received) && c.received[at].pos < r.pos {
			at++
		}
		if at < len(c.received) && c.received[at].pos == r.pos {
			if _, begun := first[r.pos]; !begun {
				first = map[int64]int{r.pos: at}
			}
			s := &c.received[at]
			s.seen = true
			at++
			if c.lost[r.pos] {
				return nil
			}
			c.sealedOf(r, s)
			if r.How == cases.ResultMark { // a keyed digest: no record binds it, and the holder that was opened gives it
				r.Digest = ""
			}
			if s.plain != plainReceived(r.Case, r.Matter, r.Material, r.How, r.Digest, r.By, canonical.Micros(r.At)) {
				c.fault(&c.rows, table, r.key(), r.pos, rowPlain)
			}
			if !c.inOrder(r.pos, r.n-int64(at-1-first[r.pos])) {
				c.fault(&c.rows, table, r.key(), r.pos, "the row does not stand where the record puts it")
			}
			return nil
		}
		// A record that binds changes would have bound this row.
		if v, binds := c.versioned[r.pos>>indexBits]; binds && r.pos >= v || c.origins[r.pos>>indexBits] == "" {
			if !c.lost[r.pos] {
				c.fault(&c.rows, table, r.key(), r.pos, rowExtra)
			}
			return nil
		}
		c.unmade(table, r.key(), nil, r.pos)
		return nil
	}
}

// sealedOf compares who came, or what was issued, with what the record commits to.
func (c *comparison) sealedOf(r receivedRow, s *receivedState) {
	const table = "case_received"
	nobody := s.person == [32]byte{}
	switch {
	case nobody && r.person == nil:
	case nobody || r.person == nil:
		c.fault(&c.rows, table, r.key(), r.pos, rowPerson)
	case r.How == cases.ResultMark:
		known, random, err := openPersonal[knownResult](c.db, r.person, resultAAD(r.Case))
		c.person(table, r.key(), &rowState{made: true, pos: r.pos, person: s.person}, random, cases.ResultCommitted(known.Holder, known.License), err)
		if err == nil && c.db.resultDigest(known.Holder) != r.Digest {
			c.fault(&c.rows, table, r.key(), 0, "the digest that the license is looked up by is not that of its holder")
		}
	default:
		known, random, err := openPersonal[knownPerson](c.db, r.person, personAAD(r.Case))
		came := cases.Representative{Person: known.Person, Until: known.Until}
		c.person(table, r.key(), &rowState{made: true, pos: r.pos, person: s.person}, random, cases.RepresentativeCommitted(came), err)
	}
}

// inOrder reports whether rows of one record stand in one order in the log and in the table: what the place in the table counts is
// the batch, which may have begun before the record.
func (c *comparison) inOrder(pos, before int64) bool {
	was, known := c.orders[pos]
	c.orders[pos] = before
	return before >= 0 && (!known || was == before)
}

func (c *comparison) receivedMissing() {
	for _, s := range c.received {
		if !s.seen {
			c.fault(&c.rows, "case_received", "", s.pos, rowMissing)
		}
	}
	clear(c.orders)
}

// oneList comes after all versions.
func (c *comparison) oneList(rows *sql.Rows) error {
	r := &listRow{}
	if err := r.scan(rows); err != nil {
		return err
	}
	const table = "status_lists"
	c.row(table, r.list, r.mac, r.columns())
	var is sum
	if n := c.notValid[r.list]; n != nil {
		is = *n
	}
	if plain, err := c.db.config.Sealer.Open(r.notValid, notValidAAD(r.list)); c.db.lostKey(err) {
		c.unknown++
	} else if err != nil || len(plain) != sumSize || readSum(plain) != is {
		c.fault(&c.tags, table, r.list, 0, "the list's versions that are not valid are not those of its last change")
	}
	l := c.lists[r.list]
	if l == nil || l.versions == 0 {
		c.fault(&c.rows, table, r.list, 0, "the list has no version")
		return nil
	}
	l.versions = -1 // the list is there
	if r.changed != l.last && !c.adopted(table, l.last, r.changed) && !c.lost[r.changed] {
		c.fault(&c.rows, table, r.list, l.last, rowNamed)
	}
	if l.old > 0 { // its beginning is not in the records
		c.old[table]++
		return nil
	}
	switch {
	case c.lost[l.pos]:
	case r.pos != l.pos && !slices.Contains(l.again, r.pos) || !c.inOrder(l.pos, r.n-l.n):
		c.fault(&c.rows, table, r.list, l.pos, "the list does not begin with the version that it began with")
	case r.changes < 0 || r.changes > l.moves || r.changes == 0 && is.rows > 0:
		c.fault(&c.rows, table, r.list, l.pos, "the list says that it changed more or less often than the records say")
	}
	return nil
}

func (c *comparison) listsMissing() {
	for _, list := range slices.Sorted(maps.Keys(c.lists)) {
		if l := c.lists[list]; l.versions > 0 {
			c.fault(&c.rows, "status_lists", list, l.pos, rowMissing)
		}
	}
}

// trusted are the rows that no record makes, held against what the adoptions say that they took on.
func (c *comparison) adoptedRows() (all []AdoptedRows) {
	for _, a := range c.adoptions {
		for _, table := range summed {
			if n := a.renaming[table]; n > a.rows[table] {
				c.fault(&c.rows, table, "", a.pos, "%d rows name the record as what took them on, and it says that it took on %d", n, a.rows[table])
			}
		}
	}
	if len(c.adoptions) == 0 || !c.adoptions[0].first {
		return nil // every row without a record is a fault already
	}
	a := c.adoptions[0]
	origin, index := c.place(a.pos)
	for _, table := range summed {
		is, was := c.old[table], a.rows[table]-a.made[table]
		if is != was {
			c.fault(&c.rows, table, "", a.pos, "%d rows are made by no record, and the record took on %d", is, was)
		}
		if is > 0 {
			all = append(all, AdoptedRows{Table: table, Rows: is, Log: origin, Record: *index})
		}
	}
	return all
}
