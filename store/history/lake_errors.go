//go:build duckdb_arrow

package history

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"wb/data/plain"
	"wb/store"
)

// explainLake turns an error of DuckLake, PostgreSQL or an object store into one line and a hint, without passwords.
func explainLake(op, name string, err error) error {
	var explained *store.Error
	if err == nil || errors.As(err, &explained) {
		return err
	}
	text := plain.Redact(strings.Join(strings.Fields(err.Error()), " "))
	text, _, _ = strings.Cut(text, " Stack Trace:")
	remedy, cause := lakeCause(op, text)
	if errors.Is(err, context.Canceled) {
		cause, remedy = store.ErrInterrupted, ""
	}
	return problem(op, plain.Redact(name), cause, remedy)
}

// lakeCause finds out the cause from the text of an error.
func lakeCause(op, text string) (remedy string, cause error) {
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("INTERRUPT"):
		return "", store.ErrInterrupted
	case has("password authentication failed"):
		return "set PGUSER and PGPASSWORD, or use ~/.pgpass", errors.New("PostgreSQL refuses the user or the password")
	case has("no password supplied"):
		return "set PGPASSWORD, or use ~/.pgpass", errors.New("PostgreSQL needs a password")
	case has("could not translate host"):
		host := ""
		if m := unknownHost.FindStringSubmatch(text); m != nil {
			host = " " + m[1]
		}
		return "is the name right?" + later(op), fmt.Errorf("its PostgreSQL does not answer: host%s is not known", host)
	case has("Connection refused"):
		return "are host and port right?" + later(op), errors.New("its PostgreSQL does not answer: connection refused")
	case has("server closed the connection") || has("terminating connection") || has("the database system is") ||
		has("no connection to") || has("timeout expired") || has(`Failed to execute query "ROLLBACK"`) ||
		has("No such file or directory") && has("connection to server"):
		return "is it up?" + later(op), errors.New("its PostgreSQL does not answer")
	case has("role \"") && has("does not exist"):
		return "name a user that it knows with PGUSER, or with user= in the connection text", errors.New(after(text, "FATAL: "))
	case has("does not exist") && has("database \""):
		db := ""
		if m := noDatabase.FindStringSubmatch(text); m != nil {
			db = " " + m[1]
		}
		return "create it: createdb" + db, errors.New(after(text, "FATAL: "))
	case has("HTTP 403") || has("HTTP 401"):
		return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL",
			errors.New("the object store refuses the keys")
	case has("Could not connect to server") || has("Could not establish connection") || has("Could not resolve host"):
		return "AWS_ENDPOINT_URL says where it is, if it is not Amazon's." + later(op),
			errors.New("its object store does not answer")
	case has("No space left"):
		return "free some space; the local file has not changed, and nothing of the run is in the lake",
			errors.New("no space left where its Parquet files are")
	case has("Permission denied"):
		return "check the permissions of the folder", errors.New("no permission to write there")
	case has("in connection info string") || has("invalid connection option"):
		return "such as postgres:host=db.example dbname=wb",
			errors.New("its connection text is not one that PostgreSQL understands")
	case has("does not match existing data path"):
		return "leave --data out: it is for a new lake, and the catalog says where the files are",
			errors.New("it exists, and its Parquet files are elsewhere")
	case has("DATA_PATH"):
		return "wb push --data, with the folder or s3://… of its Parquet files, makes a lake",
			errors.New("it is new, or its Parquet files are elsewhere")
	case has(".parquet") && (has("Cannot open file") || has("No files found") || has("HTTP 404")):
		return "is its folder mounted completely? If so, restore the file from a copy",
			fmt.Errorf("one of its Parquet files is missing: %s", parquetFile.FindString(text))
	case has("does not exist") || has("Cannot open file") || has("database does not exist"):
		return "wb push makes one", errors.New("there is no lake")
	}
	return "", errors.New(text)
}

var (
	unknownHost = regexp.MustCompile(`could not translate host name "([^"]*)"`)
	noDatabase  = regexp.MustCompile(`database "([^"]*)" does not exist`)
	parquetFile = regexp.MustCompile(`[^"' ]*\.parquet`)
)

// later returns the part of a hint that says what to do when the lake works again.
func later(op string) string {
	if op != "push" {
		return ""
	}
	return " The local file has not changed; push again when it is back"
}

func after(text, mark string) string {
	if i := strings.LastIndex(text, mark); i >= 0 {
		return text[i+len(mark):]
	}
	return text
}
