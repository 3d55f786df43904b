package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
			if tx, err = s.db.BeginTx(ctx, s.options); err != nil {
				return nil, ended(ctx, cannot("begin a transaction", err))
			}
		}
		f, err := s.one(ctx, tx, q)
		if ctx.Err() != nil {
			return nil, ended(ctx, nil)
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
	args := kind.statement.bind(func(name string) string {
		switch name {
		case holderCode:
			return asked.HolderCode
		case holderType:
			return asked.HolderType
		}
		return asked.Number
	})
	rows, err := s.run(ctx, tx, kind, args)
	if err != nil {
		return license.Finding{}, cannot("run the query", err)
	}
	defer rows.Close()
	read, err := s.read(rows)
	if err != nil {
		return license.Finding{}, err
	}
	return kind.plan.Answer(q, read), nil
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

// read takes the rows as text. An answer cut short by an error or by the bound is no answer.
func (s *Source) read(rows *sql.Rows) ([]mapping.Row, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, cannot("read the columns", err)
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
			return nil, fmt.Errorf("cannot use the answer: more than %d rows", s.maxRows)
		}
		if err := rows.Scan(into...); err != nil {
			return nil, cannot("read a row", err)
		}
		row := make(mapping.Row, len(columns))
		for i, column := range columns {
			if _, twice := row[column]; twice {
				return nil, fmt.Errorf("cannot use the answer: two columns are named %s", column)
			}
			if _, ok := cells[i].(time.Time); ok && types == nil {
				if types, err = rows.ColumnTypes(); err != nil {
					return nil, cannot("read the columns", err)
				}
			}
			if row[column], err = text(cells[i], types, i); err != nil {
				return nil, fmt.Errorf("cannot use column %s: %w", column, err)
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, cannot("read the rows", err)
	}
	return all, nil
}

// ended prefers the context's own end over what a driver makes of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot ask the database: %w", ctx.Err())
	}
	return err
}

// cannot describes a driver's error without its text, which may repeat bound values or rows. What helps an operator,
// the SQLSTATE or the driver's number, is kept.
func cannot(what string, err error) error {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return fmt.Errorf("cannot %s: SQLSTATE %s", what, state.SQLState())
	}
	var code interface{ Code() int }
	if errors.As(err, &code) {
		return fmt.Errorf("cannot %s: driver's code %d", what, code.Code())
	}
	return fmt.Errorf("cannot %s: the driver reports %T", what, root(err))
}

func root(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
