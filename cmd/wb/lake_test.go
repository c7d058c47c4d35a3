package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// folders of the extensions and of PostgreSQL's programs; make lake sets both
func lakeTools(t *testing.T) (postgres string) {
	t.Helper()
	if os.Getenv("WB_EXTENSION_DIR") == "" || os.Getenv("WB_POSTGRES") == "" {
		t.Skip("WB_EXTENSION_DIR and WB_POSTGRES are not set; make lake sets them")
	}
	return os.Getenv("WB_POSTGRES")
}

// cluster is a PostgreSQL of the test's own.
type cluster struct {
	t    *testing.T
	bin  string
	dir  string
	port string
}

const lakePassword = "s3cr3t-word"

// as runs a program of PostgreSQL, which refuses to work for root.
func (c *cluster) as(args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, args[0]), args[1:]...)
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PGPASSWORD="+lakePassword, "PGUSER=postgres", "PGHOST=127.0.0.1", "PGPORT="+c.port)
	var out bytes.Buffer
	if args[0] != "pg_ctl" { // its server keeps the descriptors
		cmd.Stdout, cmd.Stderr = &out, &out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, &out)
	}
	return nil
}

func (c *cluster) start() error {
	return c.as("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-w", "-l", filepath.Join(c.dir, "log"), "-o", "-p "+c.port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", "start")
}

func (c *cluster) stop() error {
	return c.as("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-m", "immediate", "-w", "stop")
}

func startPostgres(t *testing.T, bin string) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "wb-postgres-") // not below a folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t, bin, dir, freePort()}
	word := filepath.Join(dir, "word")
	if err := os.WriteFile(word, []byte(lakePassword), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.as("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", word); err != nil {
		t.Fatal(err)
	}
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.stop() })
	return c
}

// lake makes a database of that name and gives the lake's.
func (c *cluster) lake(name string) string {
	c.t.Helper()
	if err := c.as("createdb", name); err != nil {
		c.t.Fatal(err)
	}
	return "postgres:host=127.0.0.1 port=" + c.port + " user=postgres dbname=" + name
}

// Four machines push 25 runs each at once; then four push the same ones; then pushers are killed.
func TestLakeOnPostgres(t *testing.T) {
	pg := startPostgres(t, lakeTools(t))
	t.Setenv("PGPASSWORD", lakePassword)
	dir := t.TempDir()
	boxes := histories(t, dir, 4, 25)
	if t.Failed() {
		return
	}
	lake := pg.lake("one")
	push := func(lake, data string, files ...string) (said []string) {
		var wg sync.WaitGroup
		said = make([]string, len(files))
		for i, f := range files {
			wg.Go(func() {
				cmd, out := wbCommand(t, dir, "push", lake, "--data", filepath.Join(dir, data), "--db", f)
				if err := cmd.Run(); err != nil {
					t.Errorf("push %s: %v\n%s", f, err, out)
				}
				said[i] = out.String()
			})
		}
		wg.Wait()
		return said
	}
	t0 := time.Now()
	for _, s := range push(lake, "data", boxes...) {
		if !strings.HasSuffix(s, ": 25 runs added, 0 there before\n") {
			t.Errorf("said %q", s)
		}
	}
	t.Logf("100 runs of 4 machines at once in %v", time.Since(t0))
	wb(t, dir, append([]string{"import", "--db", "all.duckdb"}, boxes...)...)
	want := rows(t, dir, "all.duckdb")
	if got := rows(t, dir, lake); got != want || !strings.Contains(got, "run 100, distinct 100, tag 100,") {
		t.Errorf("rows in the lake:\n%s\nin the files:\n%s", got, want)
	}
	sameReports(t, dir, "all.duckdb", lake, manyReports...)
	for _, s := range push(lake, "data", boxes[0], boxes[1]) {
		if !strings.HasSuffix(s, ": 0 runs added, 25 there before\n") {
			t.Errorf("a second push said %q", s)
		}
	}
	// a label that came later takes the place of what is there
	wb(t, dir, "runs", "tag", "box1-3", "note=later", "--db", boxes[0])
	if s := push(lake, "data", boxes[0])[0]; !strings.HasSuffix(s, ": 0 runs added, 1 renewed, 24 there before\n") {
		t.Errorf("after a label: %q", s)
	}
	if got, want := rows(t, dir, lake), strings.Replace(want, "tag 100", "tag 101", 1); got != want {
		t.Errorf("after a label:\n%s\nwant\n%s", got, want)
	}
	// the same runs, pushed by four at once, are there once
	same := pg.lake("same")
	push(same, "same", boxes[2], boxes[2], boxes[2], boxes[2])
	if got, want := rows(t, dir, same), rows(t, dir, boxes[2]); got != want {
		t.Errorf("four times the same:\n%s\nwant\n%s", got, want)
	}
	// killed at 20 random moments, a pusher leaves no part of a run
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 8))
	killed := pg.lake("killed")
	for range 20 {
		cmd, _ := wbCommand(t, dir, "push", killed, "--data", filepath.Join(dir, "killed"), "--db", boxes[3])
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300*time.Millisecond + time.Duration(rng.Int64N(int64(1200*time.Millisecond))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		check, out := wbCommand(t, dir, "query", "--db", killed, "--format", "csv", "-c", `SELECT (SELECT count(*) FROM raw.turn) = 3 * (SELECT count(*) FROM raw.run) AND (SELECT count(*) FROM raw.event) >= (SELECT count(*) FROM raw.run)
			AND NOT EXISTS (SELECT 1 FROM raw.turn t WHERE t.run_id NOT IN (SELECT run_id FROM raw.run)) AND (SELECT count(*) FROM raw.run) = (SELECT count(DISTINCT run_id) FROM raw.run) AS whole`)
		if err := check.Run(); err != nil && !strings.Contains(out.String(), "there is no lake") || err == nil && !strings.Contains(out.String(), "true") {
			t.Errorf("after a kill: %v\n%s", err, out)
		}
	}
	push(killed, "killed", boxes[3])
	if got, want := rows(t, dir, killed), rows(t, dir, boxes[3]); got != want {
		t.Errorf("after kills:\n%s\nwant\n%s", got, want)
	}
	// what goes wrong is one line with its cause and a hint; the file is as it was
	before, err := os.ReadFile(boxes[3])
	if err != nil {
		t.Fatal(err)
	}
	fails := func(cmd *exec.Cmd, out *bytes.Buffer, cause, hint string) {
		t.Helper()
		if code := exitCode(t, cmd.Wait()); code != 1 {
			t.Errorf("exit %d", code)
		}
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out.String()), "\n"), regexp.MustCompile(`: \d+ of 25 runs$`).MatchString) // how far it is, when it takes long
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "wb: ") || !strings.Contains(lines[0], cause) || !strings.HasPrefix(lines[1], "hint: ") || !strings.Contains(lines[1], hint) || strings.Contains(out.String(), lakePassword) {
			t.Errorf("said:\n%s", out)
		}
		if now, err := os.ReadFile(boxes[3]); err != nil || !bytes.Equal(before, now) {
			t.Errorf("the local file has changed (%v)", err)
		}
	}
	begin := func(env string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd, out := wbCommand(t, dir, append(args, "--db", boxes[3])...)
		cmd.Env = append(os.Environ(), env)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	cmd, out := begin("PGPASSWORD=wrong", "push", lake)
	fails(cmd, out, "PostgreSQL refuses the user or the password", "PGPASSWORD")
	cmd, out = begin("X=", "push", strings.Replace(lake, "dbname=one", "dbname=nowhere", 1))
	fails(cmd, out, `database "nowhere" does not exist`, "createdb nowhere")
	cmd, out = begin("X=", "push", lake, "--data", filepath.Join(dir, "elsewhere"))
	fails(cmd, out, "it is there, and its Parquet files are elsewhere", "leave --data out")
	// a machine that lacks the folder of the Parquet files
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "unmounted")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"push", "pull"} {
		cmd, out = begin("X=", verb, lake)
		fails(cmd, out, "which is missing or empty on this machine", "mount it there")
	}
	if err := os.Rename(filepath.Join(dir, "unmounted"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if small := filepath.Join(dir, "small"); os.Getuid() == 0 && os.Mkdir(small, 0o777) == nil && syscall.Mount("tmpfs", small, "tmpfs", 0, "size=200k") == nil {
		full := pg.lake("full")
		cmd, out = begin("X=", "push", full, "--data", small)
		fails(cmd, out, "no space left where its Parquet files are", "local file is as it was")
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	}
	stopped := pg.lake("stopped")
	cmd, out = begin("X=", "push", stopped, "--data", filepath.Join(dir, "stopped"))
	time.Sleep(1200 * time.Millisecond)
	if err := pg.stop(); err != nil {
		t.Fatal(err)
	}
	fails(cmd, out, "its PostgreSQL does not answer", "push again")
	cmd, out = begin("X=", "push", stopped)
	fails(cmd, out, "its PostgreSQL does not answer", "push again")
	if err := pg.start(); err != nil {
		t.Fatal(err)
	}
	push(stopped, "stopped", boxes[3])
	if got, want := rows(t, dir, stopped), rows(t, dir, boxes[3]); got != want {
		t.Errorf("after the catalog was away:\n%s\nwant\n%s", got, want)
	}
}

// A lake whose Parquet files are in an object store, here moto's, gives the same reports; that they are there says its catalog.
func TestLakeOnObjects(t *testing.T) {
	postgres, python := lakeTools(t), os.Getenv("WB_READERS")
	if python == "" {
		t.Skip("WB_READERS is not set; make lake sets it")
	}
	pg := startPostgres(t, postgres)
	port := freePort()
	store := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	if err := store.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Process.Kill(); _ = store.Wait() }()
	for name, value := range map[string]string{"PGPASSWORD": lakePassword, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:" + port} {
		t.Setenv(name, value)
	}
	made := false
	for range 300 {
		req, err := http.NewRequest(http.MethodPut, "http://127.0.0.1:"+port+"/bucket", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			made = res.StatusCode == http.StatusOK
			res.Body.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !made {
		t.Fatal("the object store did not start")
	}
	dir := t.TempDir()
	box := histories(t, dir, 1, 3)[0]
	lake := pg.lake("objects")
	try := func(want int, args ...string) string {
		t.Helper()
		cmd, out := wbCommand(t, dir, args...)
		if code := exitCode(t, cmd.Run()); code != want || strings.Contains(out.String(), "secret-key") {
			t.Fatalf("%v: exit %d\n%s", args, code, out)
		}
		return out.String()
	}
	if said := try(1, "push", lake, "--db", box); !strings.Contains(said, "hint: wb push --data") {
		t.Errorf("a new lake without a place for its files: %s", said)
	}
	try(0, "push", lake, "--data", "s3://bucket/team/", "--db", box)
	try(0, "runs", "tag", "box1-1", "note=later", "--db", box)
	if said := try(0, "push", lake, "--db", box); !strings.HasSuffix(said, ": 0 runs added, 1 renewed, 2 there before\n") {
		t.Errorf("said %q", said)
	}
	if got, want := rows(t, dir, lake), rows(t, dir, box); got != want {
		t.Errorf("in the object store:\n%s\nin the file:\n%s", got, want)
	}
	sameReports(t, dir, box, lake, manyReports...)
	try(0, "pull", lake, "--db", "back.duckdb")
	if got, want := rows(t, dir, "back.duckdb"), rows(t, dir, box); got != want {
		t.Errorf("pulled:\n%s\nwant\n%s", got, want)
	}
	for _, q := range []string{"COPY (SELECT 1) TO 's3://bucket/team/x.csv'", "SELECT * FROM read_csv('s3://bucket/x.csv')", "SELECT * FROM read_csv('https://127.0.0.1/x.csv')"} {
		try(1, "query", "--db", lake, "-c", q)
	}
	if err := store.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = store.Wait()
	cmd, out := wbCommand(t, dir, "run", "--db", box, "--sim-profile", "instant", "--conversations", "simple_qa", "--max-turns", "1", "--quiet", "--push", lake)
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), ": its object store does not answer\nhint: AWS_ENDPOINT_URL says where it is, if it is not Amazon's. The local file is as it was") {
		t.Errorf("without the object store: exit %d\n%s", code, out)
	}
}
