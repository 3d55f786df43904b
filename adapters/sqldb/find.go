package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Find answers the questions in their order, one finding each. It fails only when the database could not be asked at
// all or ctx ended; what is wrong with one question stands in its finding.
func (s *Source) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	questions := r.Questions
	if s.closed.Load() {
		return nil, mapping.ErrClosed
	}
	findings := make([]license.Finding, len(questions))
	alone := s.alone && len(questions) == 1
	answered := false // whether the database answered the last question
	var tx *sql.Tx
	defer func() {
		if (tx == nil || tx.Rollback() == nil) && answered {
			s.prepare(ctx, questions)
		}
	}()
	for i, q := range questions {
		if tx == nil && !alone { // at first, and after an error that spoilt the transaction for the rest
			var err error
			if tx, err = s.begin(ctx); err != nil {
				return nil, ended(ctx, failed(err, ""))
			}
		}
		f, err := s.one(ctx, tx, q)
		if ctx.Err() != nil {
			return nil, ended(ctx, nil)
		}
		for again := 0; again < maxAgain && s.stale(q, err); again++ {
			if tx != nil {
				tx.Rollback()
				if tx, err = s.begin(ctx); err != nil {
					return nil, ended(ctx, failed(err, ""))
				}
			}
			if f, err = s.one(ctx, tx, q); ctx.Err() != nil {
				return nil, ended(ctx, nil)
			}
		}
		if answered = err == nil; !answered {
			if tx != nil {
				tx.Rollback()
			}
			tx, f = nil, mapping.Unavailable(err)
		}
		f.Source, f.AsOf = s.id, s.now()
		findings[i] = f
	}
	return findings, nil
}

// CanAsk says why a question can never be answered, without asking the database; nil if it can.
func (s *Source) CanAsk(q license.Question) error {
	kind, ok := s.queries[q.Type]
	if !ok {
		return mapping.ErrUnknownType
	}
	_, err := kind.plan.Ask(q)
	return err
}

// one asks one question, in no transaction where tx is nil. Its error is the database's, after which tx is not used any more.
func (s *Source) one(ctx context.Context, tx *sql.Tx, q license.Question) (license.Finding, error) {
	kind, ok := s.queries[q.Type]
	if !ok {
		return mapping.Unavailable(mapping.ErrUnknownType), nil
	}
	asked, err := kind.plan.Ask(q)
	if err != nil {
		return mapping.Unavailable(err), nil
	}
	args := kind.statement.bind(func(name string) any {
		switch name {
		case holderCode:
			return s.engine.argument(asked.HolderCode)
		case holderType:
			return s.engine.argument(asked.HolderType)
		}
		return s.engine.argument(asked.Number)
	})
	ctx, cancel := context.WithCancel(ctx)
	rows, err := s.run(ctx, tx, kind, args)
	if err != nil {
		cancel()
		return license.Finding{}, kind.failed(err)
	}
	defer rows.Close()
	defer cancel() // first: some drivers would read an answer that is too long to its end when it is closed
	read, err := s.read(rows, kind)
	if err != nil {
		return license.Finding{}, err
	}
	kind.worked.Store(true)
	return kind.plan.Answer(q, read), nil
}

// failed says why a query failed, and of what is missing whether it was there before.
func (q *query) failed(err error) *license.SourceError {
	e := failed(err, q.statement.text)
	e.Gone = (e.Cause == license.NoTable || e.Cause == license.NoColumn) && q.worked.Load()
	return e
}

// maxAgain bounds how often a question is asked again because its plan may be stale: once for our prepared statement, and once for
// one that the driver keeps for itself.
const maxAgain = 2

// stalePlan is how PostgreSQL says that a statement was prepared for another schema: cached plan must not change result type.
const stalePlan = "SQLSTATE 0A000"

// stale reports whether a question may have failed because its statement was prepared before the schema changed: it fails for ever on
// some databases. The prepared statement is dropped, so that asking again prepares anew.
func (s *Source) stale(q license.Question, err error) bool {
	var e *license.SourceError
	if !errors.As(err, &e) || !e.Cause.Faulty() && e.Cause != license.OtherCause {
		return false
	}
	kind := s.queries[q.Type]
	st := kind.prepared.Load()
	if st != nil && kind.prepared.CompareAndSwap(st, nil) {
		st.Close()
	}
	return st != nil || e.Code == stalePlan
}

// run asks with the prepared statement if there is one.
func (s *Source) run(ctx context.Context, tx *sql.Tx, q *query, args []any) (*sql.Rows, error) {
	st := q.prepared.Load()
	switch {
	case st == nil && tx == nil:
		return s.db.QueryContext(ctx, q.statement.text, args...)
	case st == nil:
		return tx.QueryContext(ctx, q.statement.text, args...)
	case tx != nil:
		st = tx.StmtContext(ctx, st)
	}
	return st.QueryContext(ctx, args...)
}

// prepare has the statements that were asked prepared for the next time: parsing costs a database as much as a small answer. It runs
// when the call has given its connection back, so that calls never wait for one another's, and what cannot be
// prepared is asked as before.
func (s *Source) prepare(ctx context.Context, questions []license.Question) {
	for _, q := range questions {
		kind, ok := s.queries[q.Type]
		if !ok || kind.prepared.Load() != nil {
			continue
		}
		st, err := s.db.PrepareContext(ctx, kind.statement.text)
		if err == nil && (!kind.prepared.CompareAndSwap(nil, st) || s.closed.Load()) {
			st.Close()
		}
	}
}

// read takes the rows as text. An answer cut short by an error or by the bound is no answer, and one that lacks a column of the
// mapping says nothing, not even that there is none.
func (s *Source) read(rows *sql.Rows, kind *query) ([]mapping.Row, error) {
	columns, err := kind.columns(rows)
	if err != nil {
		return nil, err
	}
	var all []mapping.Row
	var types []*sql.ColumnType // looked up when a moment comes, the only value whose text depends on its column
	cells := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if len(all) == s.maxRows {
			return nil, &license.SourceError{Cause: license.BadAnswer, Detail: fmt.Sprintf("more than %d rows", s.maxRows)}
		}
		if err := rows.Scan(into...); err != nil {
			return nil, kind.failed(err)
		}
		row := make(mapping.Row, len(columns))
		for i, column := range columns {
			if _, ok := cells[i].(time.Time); ok && types == nil {
				if types, err = rows.ColumnTypes(); err != nil {
					return nil, kind.failed(err)
				}
			}
			if row[column], err = s.engine.text(cells[i], types, i); err != nil {
				return nil, &license.SourceError{Cause: license.BadValue, Row: len(all) + 1, Name: column, Detail: err.Error()}
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, kind.failed(err)
	}
	return all, nil
}

// columns are the names of the columns of an answer, each once, with all that the mapping requires.
func (q *query) columns(rows *sql.Rows) ([]string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, q.failed(err)
	}
	q.fold(columns)
	seen := make(map[string]bool, len(columns))
	for _, column := range columns {
		if seen[column] {
			return nil, &license.SourceError{Cause: license.BadAnswer, Detail: "two columns are named " + column}
		}
		seen[column] = true
	}
	for _, column := range q.required {
		if !seen[column] {
			return nil, &license.SourceError{Cause: license.NoColumn, Name: column, Gone: q.worked.Load()}
		}
	}
	return columns, nil
}

// fold names columns as the mapping does where they differ in letter case only: SQL has names without quotes in one case, Oracle in upper,
// PostgreSQL in lower, MySQL as the table has them.
func (q *query) fold(columns []string) {
	for _, name := range q.named {
		if slices.Contains(columns, name) {
			continue
		}
		for i, column := range columns {
			if strings.EqualFold(column, name) && !slices.Contains(q.named, column) {
				columns[i] = name
			}
		}
	}
}

// ended prefers the context's own end over what a driver makes of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot ask the database: %w", ctx.Err())
	}
	return err
}
