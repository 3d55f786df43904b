package store

import (
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// A dialect is what the two databases do not have in common. All other SQL is the same text for both.
type dialect struct {
	name      string
	rebind    func(string) string // from ? to the database's placeholders
	ddl       func(string) string // from the words of migrations to the database's
	lock      string              // appended to the SELECT that locks the head
	isolate   sql.IsolationLevel  // of transactions that write
	snapshot  sql.TxOptions       // of transactions that read several tables as they are at one moment
	unhurried string              // lifts the limits of statements and locks for the transaction
	unsynced  string              // lets a connection commit without a sync, and synced no more; "": it cannot
	synced    string              //
	patience  time.Duration       // how long a transaction may take before its connection is cut; 0: the database bounds it

	explain func(error) error // says in a phrase what happened; nil stays nil
	retry   func(error) bool  // the transaction did not happen, and may be tried again at once
	gone    func(error) bool  // the connection was cut, as when the server moves: another one may answer
	failed  func(error) bool  // an error of COMMIT that says for certain that nothing was committed
}

// numbered replaces each ? by $1, $2, …; our texts hold no ? otherwise.
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// values returns "(?,?),(?,?)" for rows of width columns.
func values(rows, width int) string {
	row := "(" + marks(width) + ")"
	return strings.Repeat(row+",", rows-1) + row
}

// marks returns "?,?,?".
func marks(n int) string {
	return strings.Repeat("?,", n-1) + "?"
}
