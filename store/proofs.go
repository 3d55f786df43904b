package store

// Proofs make what rows are believed by, for tests that fill the tables past the store (package storetest). Whoever has the keys can
// make as much; nothing else in this program does.
type Proofs struct{ db DB }

// Proofs are those of the keys in a configuration.
func (c Config) Proofs() *Proofs { return &Proofs{DB{config: c}} }

// Tag authenticates a row.
func (p *Proofs) Tag(table string, columns ...any) []byte { return p.db.tag(table, columns...) }

// Sums binds what stands sealed beside one checkpoint to another.
func (p *Proofs) Sums(sealed []byte, was, is string) ([]byte, error) {
	s, err := p.db.openSums(sealed, was)
	if err != nil {
		return nil, err
	}
	return p.db.sealSums(s, is)
}
