package queries

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	wbsql "wb/sql"
)

// guard decides which statements of a query are run. The parser of DuckDB reads them (json_serialize_sql, "SQL to and from JSON" in
// DuckDB's documentation), so that wb and DuckDB cannot read a text differently. A statement runs if that parser has found it to be one
// SELECT, or if it is built here from such SELECTs. Everything else is refused.
type guard struct {
	conn      *sql.Conn
	file      string          // of the query, for messages
	elsewhere bool            // the history is a folder or a lake, where DuckDB itself does not prevent a query from writing
	macros    map[string]bool // table macros that are known to be harmless: those of the file and of the query
}

// maxTreeBytes limits the size of a statement's parse tree: the time that DuckDB takes grows with the square of the parts of a UNION.
const maxTreeBytes = 8 << 20

// errNoSelect is the parser's answer for statements that are valid and are not a SELECT.
var errNoSelect = errors.New("not a SELECT")

// statements gives the statements of a text as they are to be run. The last one gives the answer.
func (g *guard) statements(ctx context.Context, text string) ([]string, error) {
	n, err := g.parse(ctx, text)
	switch {
	case err == nil && n == 0:
		return nil, fmt.Errorf("%s: holds no SQL", g.file)
	case err == nil && n == 1:
		return []string{text}, nil
	case err == nil:
		return nil, fmt.Errorf("%s: the answer of statement 1 of %d would not be shown; a query has one answer, that of its last statement",
			g.file, n)
	case !errors.Is(err, errNoSelect):
		return nil, err
	}
	parts := split(text)
	out := make([]string, len(parts))
	for i, p := range parts {
		var answers bool
		if out[i], answers, err = g.statement(ctx, p); err != nil {
			return nil, err
		}
		if last := i == len(parts)-1; answers && !last {
			return nil, fmt.Errorf("%s: the answer of statement %d of %d (%s) would not be shown; "+
				"a query has one answer, that of its last statement",
				g.file, i+1, len(parts), firstWord(p))
		} else if !answers && last {
			return nil, fmt.Errorf("%s: its last statement (%s) gives no answer; end with a SELECT", g.file, firstWord(p))
		}
	}
	return out, nil
}

// parse has DuckDB read a text, and gives how many statements it holds. It is an error if one of them is not a SELECT that may be run.
func (g *guard) parse(ctx context.Context, text string) (n int, err error) {
	var tree []byte
	var size int64
	err = g.conn.QueryRowContext(ctx, wbsql.Statement("parse_tree"), maxTreeBytes, text).Scan(&size, &tree)
	if err != nil {
		return 0, g.wrap(err)
	}
	if size > maxTreeBytes {
		return 0, fmt.Errorf("%s: the query is too long: %d bytes as DuckDB's parser gives it, and at most %d are allowed",
			g.file, size, maxTreeBytes)
	}
	var a struct {
		Error        bool   `json:"error"`
		ErrorType    string `json:"error_type"`
		ErrorMessage string `json:"error_message"`
		Statements   []any  `json:"statements"`
	}
	if err := json.Unmarshal(tree, &a); err != nil {
		return 0, fmt.Errorf("%s: read DuckDB's parse tree: %w", g.file, err)
	}
	if a.Error {
		if a.ErrorType == "not implemented" {
			return 0, errNoSelect
		}
		return 0, fmt.Errorf("%s: Parser Error: %s", g.file, excerptless(strings.TrimPrefix(a.ErrorMessage, "Parser Error: ")))
	}
	for _, s := range a.Statements {
		if err := g.node(s); err != nil {
			return 0, err
		}
	}
	return len(a.Statements), nil
}

// one checks a text that must be a single SELECT.
func (g *guard) one(ctx context.Context, text string) error {
	n, err := g.parse(ctx, text)
	if err == nil && n != 1 {
		err = fmt.Errorf("%s: it has %d statements, and one is wanted", g.file, n)
	}
	return err
}

// node checks a node of the parse tree and all below it.
func (g *guard) node(v any) error {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := g.node(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := g.check(x); err != nil {
			return err
		}
		for _, e := range x {
			if err := g.node(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *guard) check(x map[string]any) error {
	text := func(key string) string { s, _ := x[key].(string); return strings.ToLower(s) }
	switch x["type"] {
	case "TABLE_FUNCTION":
		f, _ := x["function"].(map[string]any)
		name, _ := f["function_name"].(string)
		schema, _ := f["schema"].(string)
		return g.tableFunction(strings.ToLower(schema), strings.ToLower(name))
	case "BASE_TABLE":
		return g.table(text("catalog_name"), text("schema_name"), text("table_name"))
	}
	if name := text("function_name"); name != "" {
		if slices.Contains(deniedFunctions, name) || strings.HasPrefix(name, "__") || g.elsewhere && name == "current_setting" {
			return fmt.Errorf("%s: %s: a query may not call this function", g.file, name)
		}
		if g.elsewhere && (strings.HasPrefix(text("schema"), "_") || strings.HasPrefix(text("catalog"), "_")) {
			return fmt.Errorf("%s: %s: a query on a folder or a lake may not call the functions of its catalog", g.file, name)
		}
	}
	return nil
}

// tableFunctions are functions of DuckDB that only compute, or describe what the connection is to. The others read files, run text as SQL,
// or switch on logs and profiles, some of which write files or end the process.
var tableFunctions = []string{
	"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "histogram", "histogram_values", "summary",
	"icu_calendar_names", "pg_timezone_names", "duckdb_columns", "duckdb_constraints", "duckdb_dependencies", "duckdb_functions",
	"duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_optimizers", "duckdb_schemas", "duckdb_sequences", "duckdb_tables",
	"duckdb_types", "duckdb_variables", "duckdb_views", "pragma_collations", "pragma_database_size", "pragma_metadata_info",
	"pragma_platform", "pragma_show", "pragma_storage_info", "pragma_table_info", "pragma_user_agent", "pragma_version",
}

// fileFunctions are further functions that a query on a file may call. On a lake they would show how it was connected.
var fileFunctions = []string{"duckdb_databases", "duckdb_extensions", "duckdb_settings", "duckdb_temporary_files"}

// lakeFunctions are functions of DuckLake that only read.
var lakeFunctions = []string{
	"ducklake_snapshots", "ducklake_current_snapshot", "ducklake_table_info", "ducklake_list_files", "ducklake_table_changes",
	"ducklake_table_insertions", "ducklake_table_deletions",
}

// deniedFunctions have effects, or show the settings of a lake's connection. So do all whose names begin with two underscores.
// json_serialize_plan has DuckDB plan any text, and planning alone can write files and open others.
var deniedFunctions = []string{
	"query", "query_table", "json_execute_serialized_sql", "json_serialize_plan", "nextval", "currval", "write_log", "getenv",
}

func (g *guard) tableFunction(schema, name string) error {
	known := slices.Contains(tableFunctions, name) || g.macros[name] ||
		slices.Contains(map[bool][]string{true: lakeFunctions, false: fileFunctions}[g.elsewhere], name)
	if !known || !slices.Contains([]string{"", "main", "system", "temp", "memory", "pg_catalog"}, schema) {
		return fmt.Errorf("%s: %s: a query may not call this function in FROM; it reads the tables and views of the history",
			g.file, dotted(schema, name))
	}
	return nil
}

// table checks a relation of a query on a folder or a lake, where DuckDB could open the catalog, and other files than those of the history.
func (g *guard) table(catalog, schema, name string) error {
	if !g.elsewhere {
		return nil
	}
	full := dotted(catalog, schema, name)
	if strings.ContainsAny(name, `/\.*?[:`) {
		return fmt.Errorf("%s: %s: a query on a folder or a lake may not read files by name", g.file, full)
	}
	telling := []string{"duckdb_databases", "duckdb_secrets", "duckdb_settings", "pg_settings", "duckdb_logs", "pragma_database_list"}
	schemas := []string{"", "main", "raw", "temp", "memory", "system", "information_schema", "pg_catalog"}
	if !slices.Contains(schemas, schema) || !slices.Contains([]string{"", "temp", "memory", "system"}, catalog) ||
		slices.Contains(telling, name) {
		return fmt.Errorf("%s: %s: a query on a folder or a lake may not read its catalog or another database", g.file, full)
	}
	return nil
}

func dotted(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ".")
}

// Statements that contain a SELECT, or an expression, which is checked as a SELECT.
var (
	word         = `[\p{L}_][\p{L}\p{N}_]*`
	name         = `("(?:[^"]|"")+"|` + word + `)`
	columns      = `(?:\s*\(\s*` + name + `(?:\s*,\s*` + name + `)*\s*\))?`
	setVariable  = regexp.MustCompile(`(?is)^SET\s+(?:(?:SESSION|LOCAL|GLOBAL)\s+)?VARIABLE\s+` + name + `\s*(?:=|\s+TO\s)(.+)$`)
	explainHow   = `(?:ANALYZE|FORMAT\s+[a-z]+)`
	explainHows  = `(?:\s*\(\s*` + explainHow + `(?:\s*,\s*` + explainHow + `)*\s*\))?`
	explain      = regexp.MustCompile(`(?is)^EXPLAIN\b(?:\s+ANALYZE\b)?` + explainHows + `\s*(.+)$`)
	createTemp   = `(?is)^CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\s+`
	createNew    = createTemp + `(?:TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:temp\.)?`
	createTable  = regexp.MustCompile(createNew + name + columns + `\s*\bAS\b\s*(.+)$`)
	macroParam   = `\s*` + word + `(?:\s*(?::=|=>)\s*(?:-?[0-9.]+|'(?:[^']|'')*'|NULL|TRUE|FALSE))?\s*`
	macroParams  = `\s*\((?:` + macroParam + `(?:,` + macroParam + `)*)?\)`
	createMacro  = regexp.MustCompile(createTemp + `(?:MACRO|FUNCTION)\s+` + name + macroParams + `\s*AS\s+(TABLE\s+)?(.+)$`)
	pragma       = regexp.MustCompile(`(?is)^PRAGMA\s+([a-z_]+)\s*(?:\(\s*(?:'[^']*'|"[^"]*"|[A-Za-z_][A-Za-z0-9_.]*)\s*\))?\s*$`)
	plainPragmas = []string{
		"collations", "database_list", "database_size", "functions", "metadata_info", "platform", "show", "show_databases", "show_tables",
		"show_tables_expanded", "storage_info", "table_info", "user_agent", "version",
	}
)

// statement gives one of several statements as it is to be run, and whether it gives an answer.
func (g *guard) statement(ctx context.Context, text string) (run string, answers bool, err error) {
	switch n, err := g.parse(ctx, text); {
	case err == nil && n == 1:
		return text, true, nil
	case err == nil:
		return "", false, fmt.Errorf("%s: %s: wb and DuckDB do not agree on where this statement ends", g.file, firstWord(text))
	case !errors.Is(err, errNoSelect):
		return "", false, err
	}
	text = strings.TrimSpace(uncommented(text)) // from here on it is read, and run, without comments
	switch word := firstWord(text); word {
	case "SET":
		if m := setVariable.FindStringSubmatch(text); m != nil {
			return "SET VARIABLE " + m[1] + " = (" + m[2] + "\n)", false, g.one(ctx, "SELECT ("+m[2]+"\n)")
		}
		return "", false, g.refused("SET", "only SET VARIABLE is allowed; wb locks DuckDB's settings")
	case "EXPLAIN":
		if m := explain.FindStringSubmatch(text); m != nil {
			return text, true, g.one(ctx, m[1])
		}
	case "CALL":
		run = "FROM" + text[len("CALL"):]
		return run, true, g.one(ctx, run)
	case "PRAGMA":
		if m := pragma.FindStringSubmatch(text); m != nil && !g.elsewhere && slices.Contains(plainPragmas, strings.ToLower(m[1])) {
			return text, true, nil
		}
	case "CREATE":
		if m := createTable.FindStringSubmatch(text); m != nil {
			return text, false, g.one(ctx, m[len(m)-1])
		}
		if m := createMacro.FindStringSubmatch(text); m != nil {
			return text, false, g.macro(ctx, m[1], m[2] != "", m[3])
		}
	case "PIVOT", "FROM", "SELECT", "WITH", "(":
		return text, true, g.pivot(text)
	}
	return "", false, g.refused(firstWord(text), "")
}

func (g *guard) refused(what, why string) error {
	if why == "" {
		why = "SELECT and its variants are allowed, with SET VARIABLE and CREATE TEMP TABLE, VIEW or MACRO before it"
	}
	return fmt.Errorf("%s: %s: a query only reads: %s", g.file, what, why)
}

// macro checks the body of a macro. Its name must be new: of two functions of one name, the wrong one might be checked.
func (g *guard) macro(ctx context.Context, quoted string, table bool, body string) error {
	name := strings.ToLower(strings.ReplaceAll(strings.Trim(quoted, `"`), `""`, `"`))
	var taken bool
	if err := g.conn.QueryRowContext(ctx, wbsql.Statement("function_is_known"), name).Scan(&taken); err != nil {
		return g.wrap(err)
	}
	if taken {
		return fmt.Errorf("%s: CREATE MACRO %s: DuckDB or the file has a function of this name", g.file, name)
	}
	if !table {
		return g.one(ctx, "SELECT ("+body+"\n)")
	}
	err := g.one(ctx, body)
	g.macros[name] = err == nil
	return err
}

// pivot allows a PIVOT that takes its columns from the data. DuckDB's parser turns it into several statements, so it cannot be checked as
// one: words that could do harm must not be in its text at all. It is allowed only on a file, whose connection can reach nothing else.
func (g *guard) pivot(text string) error {
	low := strings.ToLower(text)
	if !strings.Contains(low, "pivot") {
		return g.refused(firstWord(text), "")
	}
	if g.elsewhere {
		return g.refused("PIVOT", "on a folder or a lake its values must be named: PIVOT … ON column IN ('a', 'b')")
	}
	for _, word := range []string{
		"logging", "profiling", "query", "serialized", "checkpoint", "peg_parser", "duckdb_logs", "write_log", "nextval", "__", "u&",
	} {
		if strings.Contains(low, word) {
			why := fmt.Sprintf("with %q in its text, its values must be named: PIVOT … ON column IN ('a', 'b')", word)
			return g.refused("PIVOT", why)
		}
	}
	return nil
}

// fileMacros finds the table macros that somebody put into the file, except those with the name of a DuckDB function.
func (g *guard) fileMacros(ctx context.Context) error {
	g.macros = map[string]bool{}
	rows, err := g.conn.QueryContext(ctx, wbsql.Statement("file_macros"))
	if err != nil {
		return g.wrap(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return g.wrap(err)
		}
		g.macros[name] = true
	}
	return rows.Err()
}

func (g *guard) wrap(err error) error { return (&Query{File: g.file}).wrap(err) }

// excerptless drops the excerpt of the text from an error of DuckDB: its caret means nothing when all is on one line.
func excerptless(msg string) string {
	msg, _, _ = strings.Cut(strings.Join(strings.Fields(msg), " "), " LINE ")
	return msg
}

// isComment says whether a text begins with a comment.
func isComment(text string) bool {
	return strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*")
}

// uncommented replaces each comment by a space.
func uncommented(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		end := lexeme(text, i)
		if isComment(text[i:]) {
			out.WriteByte(' ')
		} else {
			out.WriteString(text[i:end])
		}
		i = end
	}
	return out.String()
}

// split cuts a text at the semicolons outside of strings, quoted names and comments (DuckDB's scan.l), and drops what comes before the
// first word of a statement. A wrong cut is not dangerous: DuckDB's parser reads each part by itself, and refuses what it cannot read.
func split(text string) (parts []string) {
	start := -1 // of the statement
	for i := 0; i < len(text); {
		end := lexeme(text, i)
		switch c := text[i]; {
		case c == ';':
			if start >= 0 {
				parts = append(parts, text[start:i])
			}
			start = -1
		case start < 0 && !strings.ContainsRune(" \t\n\r\f\v", rune(c)) && !isComment(text[i:]):
			start = i
		}
		i = end
	}
	if start >= 0 {
		parts = append(parts, text[start:])
	}
	return parts
}

// lexeme gives the end of the comment, string, quoted name or word that begins at i, or else the next byte.
func lexeme(text string, i int) int {
	rest := text[i:]
	to := func(n int) int {
		if n < 0 {
			return len(text)
		}
		return i + n
	}
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		return to(strings.IndexAny(rest, "\n\r"))
	case strings.HasPrefix(rest, "/*"):
		return to(commentEnd(rest))
	case c == '\'' || c == '"':
		return to(quoteEnd(rest, 0, false))
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		return to(quoteEnd(rest, 1, true))
	case c == '$':
		if tag := dollarTag.FindString(rest); tag != "" {
			if n := strings.Index(rest[len(tag):], tag); n >= 0 {
				return i + n + 2*len(tag)
			}
			return len(text)
		}
	case wordByte(c) && (c < '0' || c > '9'):
		n := 1
		for n < len(rest) && (wordByte(rest[n]) || rest[n] == '$') {
			n++
		}
		return i + n
	}
	return i + 1
}

// commentEnd gives where a comment ends, or -1 if it does not end. Comments nest.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			return i + 1
		}
	}
	return -1
}

// quoteEnd gives the end of the string or name whose opening quote is at from: the next quote that is not doubled and, with escapes, does
// not follow a backslash. It is -1 if there is none.
func quoteEnd(s string, from int, escapes bool) int {
	for i := from + 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == s[from] && i+1 < len(s) && s[i+1] == s[from]:
			i++
		case s[i] == s[from]:
			return i + 1
		}
	}
	return -1
}

var dollarTag = regexp.MustCompile(`^\$([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// firstWord gives the first word of a statement, in capitals.
func firstWord(text string) string {
	n := 0
	for n < len(text) && wordByte(text[n]) {
		n++
	}
	return strings.ToUpper(text[:max(n, min(len(text), 1))])
}
