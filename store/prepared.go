//go:build duckdb_arrow

package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	wbsql "wb/sql"
)

//go:embed prepared
var prepared embed.FS

// preparedName returns the name of the file that new databases are copied from.
// The name has a hash of everything from which that file is made.
func preparedName() (string, error) {
	want, err := wanted()
	if err != nil {
		return "", err
	}
	all := DuckDBVersion() + blockSize + wbsql.Statement("migration_table") + want.viewsDigest()
	for _, m := range want.migrations {
		all += m.text
	}
	return "schema-" + digest(all)[:16] + ".duckdb.gz", nil
}

// Prepare makes an empty database with the whole schema, and writes it, compressed, into a directory.
// It removes older ones from the directory. It does nothing when the current one is there already.
func Prepare(ctx context.Context, dir string) (err error) {
	name, err := preparedName()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp("", "wb-prepare-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	file := filepath.Join(tmp, "schema.duckdb")
	// Always the same time, so that two builds make the same bytes. A copy gets the time of the copying.
	d, err := openFileAt(ctx, file, time.Unix(0, 0).UTC())
	if err != nil {
		return err
	}
	if err := errors.Join(d.Checkpoint(ctx), d.Close()); err != nil {
		return err
	}
	plain, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress schema: %w", err)
	}
	if _, err := z.Write(plain); err != nil {
		return fmt.Errorf("compress schema: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress schema: %w", err)
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for older schemas: %w", err)
	}
	for _, e := range old {
		if filepath.Ext(e.Name()) == ".gz" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove older schema: %w", err)
			}
		}
	}
	part := filepath.Join(dir, "."+name) // a build does not embed names that begin with a dot
	if err := os.WriteFile(part, packed.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return os.Rename(part, filepath.Join(dir, name))
}

// place makes a new database from a prepared one, and reports whether it did.
// If it did not, the migrations make the database, and their error says what is wrong.
func place(packed []byte, path string) bool {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false
	}
	plain, err := io.ReadAll(z)
	return err == nil && writeNew(path, plain)
}

// placePrepared calls place with the prepared database that was embedded in this program, if there is one.
func placePrepared(path string) bool {
	name, err := preparedName()
	if err != nil {
		return false
	}
	packed, err := prepared.ReadFile("prepared/" + name)
	return err == nil && place(packed, path)
}

// applied records that the schema was applied now. Otherwise the file would say that it was applied when the copy was prepared.
func (d *DB) applied(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, wbsql.Statement("schema_applied"), time.Now().UTC())
	return Explain("migrate", d.path, err)
}
