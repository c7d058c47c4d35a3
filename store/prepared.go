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

// preparedName is the file that new databases are copies of: its name changes with what it is made of.
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

// Prepare makes an empty database with the whole schema and writes it, compressed, into a directory, in the place of older ones. It does
// nothing when it is there.
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
	d, err := openFile(ctx, file)
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
	part := filepath.Join(dir, "."+name) // which a build does not embed
	if err := os.WriteFile(part, packed.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return os.Rename(part, filepath.Join(dir, name))
}

// place makes a new database out of a prepared one, and says whether it did. Where it did not, the migrations make it, and tell what is
// wrong.
func place(packed []byte, path string) bool {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false
	}
	plain, err := io.ReadAll(z)
	return err == nil && writeNew(path, plain)
}

// placePrepared does so with the one that was built in, if that is there.
func placePrepared(path string) bool {
	name, err := preparedName()
	if err != nil {
		return false
	}
	packed, err := prepared.ReadFile("prepared/" + name)
	return err == nil && place(packed, path)
}

// applied says that the schema came into the file now, and not when it was prepared.
func (d *DB) applied(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, wbsql.Statement("schema_applied"), time.Now().UTC())
	return Explain("migrate", d.path, err)
}
