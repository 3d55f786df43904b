package sqldb

import (
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ form, in, out, args string }{
		{question, "select :holder_code, :number, :holder_code", "select ?, ?, ?", "holder_code number holder_code"},
		{dollar, "select :holder_code, :number, :holder_code", "select $1, $2, $1", "holder_code number"},
		{at, "select :number from [a:b] where x=:holder_code", "select @p1 from [a:b] where x=@p2", "number holder_code"},
		{colon, "select :number from t where :number is null or n = :number", "select :1 from t where :2 is null or n = :3", "number number number"},
		{at, "select [into], \"delete\", 'exec' from t where n = :number", "select [into], \"delete\", 'exec' from t where n = @p1", "number"},
		{question, "select insert(a, 1, 2, '') from t where n = :number", "select insert(a, 1, 2, '') from t where n = ?", "number"},
		{colon, "select '''' from t where n = :number", "select '''' from t where n = :1", "number"},
		{colon, "with a as (select 1) select :holder_code", "with a as (select 1) select :1", "holder_code"},
		{dollar, "select ':holder_code' || :number::text", "select ':holder_code' || $1::text", "number"},
		{dollar, "select 'it''s :number', \"a:\"\":number\", :number", "select 'it''s :number', \"a:\"\":number\", $1", "number"},
		{dollar, "select $$ :number ' $$, $q$ $$ :number $q$, :number", "select $$ :number ' $$, $q$ $$ :number $q$, $1", "number"},
		{dollar, "select a[1:2], x::holder_code, j ? 'k', y$1 from t where n=:number", "select a[1:2], x::holder_code, j ? 'k', y$1 from t where n=$1", "number"},
		{question, "select `a:number` -- don't :number\n, :number", "select `a:number`  , ?", "number"},
		{question, "select 1 /* ' :number ? */ + :number # it's\n+ 1", "select 1   + ?  + 1", "number"},
		{colon, "select /*+ index(t) */ :number from t", "select /*+ index(t) */ :1 from t", "number"},
		{dollar, "/* c */ SELECT :number ; -- end", "  SELECT $1   ", "number"},
		{question, "select 1 where a := 2 and b = :number", "select 1 where a := 2 and b = ?", "number"},
		{dollar, "select '中文:number', 中:number", "select '中文:number', 中$1", "number"},
	} {
		st, err := rewrite(c.in, c.form)
		if err != nil || st.text != c.out || strings.Join(st.args, " ") != c.args {
			t.Errorf("%s %s\n got %q %v %v\nwant %q %v", c.form, c.in, st.text, st.args, err, c.out, c.args)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	for _, c := range []struct{ form, in string }{
		{question, ""}, {question, "delete from t where a=:number"}, {question, "-- only a comment"}, {question, "values (1)"},
		{question, "select :name"}, {question, "select :holder_codes"}, {question, "select ?"}, {question, "select :1"},
		{dollar, "select $1"}, {at, "select @p1"}, {at, "select @P2"}, {colon, "select :1"},
		{question, "select 1; select 2"}, {question, "select 1;;"}, {question, "select 'open"}, {question, "select \"open"}, {dollar, "select $$ open"},
		{question, "select /* open"}, {question, "select /* /* */ 1"}, {question, "select /*! 1 */"},
		{question, `select 'a\' :number, '`}, {colon, "select q'[it's]'"}, {question, "select 1--1"},
		{question, "select * into outfile '/tmp/x' from t"}, {at, "select * into t2 from t"}, {dollar, "select 1 INTO x"},
		{at, "with x as (select 1 a) delete from x"}, {at, "select * from openquery(s, 'delete t')"}, {at, "with x as (select 1 a) update x set a = :number"},
		{colon, "select 1 from t where :number = '' or n = :number"},
		{dollar, "select $x"}, {question, "select \x00"}, {"%s", "select 1"}, {question, "select " + strings.Repeat("1", maxStatement)},
	} {
		if st, err := rewrite(c.in, c.form); err == nil {
			t.Errorf("%s %.60q became %q %v", c.form, c.in, st.text, st.args)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{selectEstates, "select ':number' :: text, :number", "select $a$ :number $a$", "select [a]]:number], /* */ `:number`", "select 'a\\'"} {
		for i := range placeholderForms {
			f.Add(seed, i)
		}
	}
	f.Fuzz(func(t *testing.T, query string, form int) {
		st, err := rewrite(query, placeholderForms[uint(form)%4])
		if err != nil {
			return
		}
		for _, name := range st.args {
			if !strings.Contains(query, ":"+name) {
				t.Errorf("%q binds %s, which it does not name", query, name)
			}
		}
		if strings.Count(query, ":") == 0 && len(st.args) > 0 {
			t.Errorf("%q has arguments %v", query, st.args)
		}
		if form := placeholderForms[uint(form)%4]; form == question {
			bare := strings.Count(st.text, "?") - strings.Count(query, "?")
			if bare > len(st.args) {
				t.Errorf("%q: %d placeholders for %d arguments", query, bare, len(st.args))
			}
		}
	})
}
