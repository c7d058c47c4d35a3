//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"wb/data/plain"
	wbsql "wb/sql"
	"wb/store"
)

// load loads an extension of DuckDB. It takes it from the folder of WithAccess, at any depth, if a folder is set.
// Otherwise DuckDB downloads it once. In both cases DuckDB checks its signature.
func load(ctx context.Context, c *sql.Conn, name string) error {
	dir := accessOf(ctx).Extensions
	pip := fmt.Sprintf("pip download duckdb-extension-%s==%s, unpack it, and name the folder with --extension-dir",
		strings.ReplaceAll(name, "_", "-"), strings.TrimPrefix(store.DuckDBVersion(), "v"))
	if dir == "" {
		_, err := c.ExecContext(ctx, "INSTALL "+name+"; LOAD "+name)
		if err != nil {
			return problem("load extension", name, errors.New(plain.FirstLine(err.Error())), "without a network: "+pip)
		}
		return nil
	}
	found := ""
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == name+".duckdb_extension" && (found == "" || strings.Contains(path, store.DuckDBVersion())) {
			found = path
		}
		return err
	})
	if err != nil {
		return problem("load extension", name, err, "")
	}
	if found == "" {
		return problem("load extension", name, fmt.Errorf("there is no %s.duckdb_extension in %s", name, dir), pip)
	}
	if _, err := c.ExecContext(ctx, "LOAD "+wbsql.Text(found)); err != nil {
		return problem("load extension", name, errors.New(plain.FirstLine(err.Error())),
			"the extension must be for DuckDB "+store.DuckDBVersion())
	}
	return nil
}

// objectStore gives DuckDB the keys for an object store, from the environment variables that other tools use too.
func (l Lake) objectStore(ctx context.Context, c *sql.Conn) error {
	if err := load(ctx, c, "httpfs"); err != nil {
		return err
	}
	var parts []string
	for name, env := range map[string]string{
		"KEY_ID": "AWS_ACCESS_KEY_ID", "SECRET": "AWS_SECRET_ACCESS_KEY", "SESSION_TOKEN": "AWS_SESSION_TOKEN",
		"REGION": "AWS_REGION", "ENDPOINT": "AWS_ENDPOINT_URL",
	} {
		if v := os.Getenv(env); v != "" {
			if name == "ENDPOINT" {
				if plain, ok := strings.CutPrefix(v, "http://"); ok {
					v = plain
					parts = append(parts, "USE_SSL false", "URL_STYLE 'path'")
				}
				v = strings.TrimPrefix(v, "https://")
			}
			parts = append(parts, name+" "+wbsql.Text(v))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	_, err := c.ExecContext(ctx, "CREATE OR REPLACE SECRET _lake (TYPE s3, "+strings.Join(parts, ", ")+")")
	return explainLake("open", l.Name, err)
}
