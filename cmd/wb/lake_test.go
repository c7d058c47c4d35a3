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

// lakeTools gives the folder of PostgreSQL's programs. It skips the test unless make lake set this folder and that of the extensions.
func lakeTools(t *testing.T) (postgres string) {
	t.Helper()
	if os.Getenv("WB_EXTENSION_DIR") == "" || os.Getenv("WB_POSTGRES") == "" {
		t.Skip("WB_EXTENSION_DIR and WB_POSTGRES are not set; make lake sets them")
	}
	return os.Getenv("WB_POSTGRES")
}

// cluster is a PostgreSQL server that the test starts.
type cluster struct {
	t    *testing.T
	bin  string
	dir  string
	port string
}

const lakePassword = "s3cr3t-word"

// as runs a program of PostgreSQL as the user postgres, since it refuses to run as root.
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
	if args[0] != "pg_ctl" { // the server that pg_ctl starts would keep the pipes open
		cmd.Stdout, cmd.Stderr = &out, &out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, &out)
	}
	return nil
}

func (c *cluster) start() error {
	return c.as("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-w", "-l", filepath.Join(c.dir, "log"),
		"-o", "-p "+c.port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", "start")
}

func (c *cluster) stop() error {
	return c.as("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-m", "immediate", "-w", "stop")
}

func startPostgres(t *testing.T, bin string) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "wb-postgres-") // the folder of t.TempDir may be closed to other users than root
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

// lake creates a database of that name and gives the name of the lake.
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
	push := func(lake, data string, files ...string) []string { return pushAll(t, dir, lake, data, files...) }
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
	// a run with a new tag replaces the copy in the lake
	wb(t, dir, "runs", "tag", "box1-3", "note=later", "--db", boxes[0])
	if s := push(lake, "data", boxes[0])[0]; !strings.HasSuffix(s, ": 0 runs added, 1 renewed, 24 there before\n") {
		t.Errorf("after a tag: %q", s)
	}
	if got, want := rows(t, dir, lake), strings.Replace(want, "tag 100", "tag 101", 1); got != want {
		t.Errorf("after a tag:\n%s\nwant\n%s", got, want)
	}
	// the same runs, pushed by four processes at the same time, are in the lake once
	same := pg.lake("same")
	push(same, "same", boxes[2], boxes[2], boxes[2], boxes[2])
	if got, want := rows(t, dir, same), rows(t, dir, boxes[2]); got != want {
		t.Errorf("four times the same:\n%s\nwant\n%s", got, want)
	}
	pushersKilled(t, dir, pg.lake("killed"), boxes[3])
	pushesFail(t, pg, dir, lake, boxes[3])
	pushesStopped(t, pg, dir, boxes[3])
}

// pushAll pushes files into a lake, all at the same time, and gives the output of each push.
func pushAll(t *testing.T, dir, lake, data string, files ...string) (said []string) {
	t.Helper()
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

// failing is a command of wb that must fail. It reads a file of 25 runs.
type failing struct {
	*testing.T
	cmd    *exec.Cmd
	out    *bytes.Buffer
	file   string
	before []byte // content of the file
}

func beginFailing(t *testing.T, dir, file, env string, args ...string) failing {
	t.Helper()
	f := failing{T: t, file: file, before: read(t, file)}
	f.cmd, f.out = wbCommand(t, dir, append(args, "--db", file)...)
	f.cmd.Env = append(os.Environ(), env)
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

// with waits for the end: wb must print one line with the cause, and a hint, and leave the file as it was.
func (f failing) with(cause, hint string) {
	f.Helper()
	if code := exitCode(f, f.cmd.Wait()); code != 1 {
		f.Errorf("exit %d", code)
	}
	said := f.out.String()
	howFar := regexp.MustCompile(`: \d+ of 25 runs$`) // printed when it takes long
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(said), "\n"), howFar.MatchString)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "wb: ") || !strings.Contains(lines[0], cause) ||
		!strings.HasPrefix(lines[1], "hint: ") || !strings.Contains(lines[1], hint) || strings.Contains(said, lakePassword) {
		f.Errorf("said:\n%s", said)
	}
	if !bytes.Equal(f.before, read(f.T, f.file)) {
		f.Errorf("the local file has changed")
	}
}

// pushersKilled kills a push at 20 random moments: the lake never holds a part of a run.
func pushersKilled(t *testing.T, dir, killed, box string) {
	const whole = `SELECT (SELECT count(*) FROM raw.turn) = 3 * (SELECT count(*) FROM raw.run)
		AND (SELECT count(*) FROM raw.event) >= (SELECT count(*) FROM raw.run)
		AND NOT EXISTS (SELECT 1 FROM raw.turn t WHERE t.run_id NOT IN (SELECT run_id FROM raw.run))
		AND (SELECT count(*) FROM raw.run) = (SELECT count(DISTINCT run_id) FROM raw.run) AS whole`
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 8))
	for range 20 {
		cmd, _ := wbCommand(t, dir, "push", killed, "--data", filepath.Join(dir, "killed"), "--db", box)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300*time.Millisecond + time.Duration(rng.Int64N(int64(1200*time.Millisecond))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		check, out := wbCommand(t, dir, "query", "--db", killed, "--format", "csv", "-c", whole)
		err := check.Run()
		if err != nil && !strings.Contains(out.String(), "there is no lake") || err == nil && !strings.Contains(out.String(), "true") {
			t.Errorf("after a kill: %v\n%s", err, out)
		}
	}
	pushAll(t, dir, killed, "killed", box)
	if got, want := rows(t, dir, killed), rows(t, dir, box); got != want {
		t.Errorf("after kills:\n%s\nwant\n%s", got, want)
	}
}

// pushesFail pushes in every way that a lake, PostgreSQL or the file system refuses.
func pushesFail(t *testing.T, pg *cluster, dir, lake, box string) {
	beginFailing(t, dir, box, "PGPASSWORD=wrong", "push", lake).with("PostgreSQL refuses the user or the password", "PGPASSWORD")
	nowhere := strings.Replace(lake, "dbname=one", "dbname=nowhere", 1)
	beginFailing(t, dir, box, "X=", "push", nowhere).with(`database "nowhere" does not exist`, "createdb nowhere")
	beginFailing(t, dir, box, "X=", "push", lake, "--data", filepath.Join(dir, "elsewhere")).
		with("it exists, and its Parquet files are elsewhere", "leave --data out")
	// this machine has no folder with the Parquet files
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "unmounted")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"push", "pull"} {
		beginFailing(t, dir, box, "X=", verb, lake).with("which is missing or empty on this machine", "mount it there")
	}
	if err := os.Rename(filepath.Join(dir, "unmounted"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(dir, "small")
	if os.Getuid() == 0 && os.Mkdir(small, 0o777) == nil && syscall.Mount("tmpfs", small, "tmpfs", 0, "size=200k") == nil {
		full := pg.lake("full")
		beginFailing(t, dir, box, "X=", "push", full, "--data", small).
			with("no space left where its Parquet files are", "local file has not changed")
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	}
}

// pushesStopped stops PostgreSQL, which holds the catalog, in the middle of a push.
func pushesStopped(t *testing.T, pg *cluster, dir, box string) {
	stopped := pg.lake("stopped")
	during := beginFailing(t, dir, box, "X=", "push", stopped, "--data", filepath.Join(dir, "stopped"))
	time.Sleep(1200 * time.Millisecond)
	if err := pg.stop(); err != nil {
		t.Fatal(err)
	}
	during.with("its PostgreSQL does not answer", "push again")
	beginFailing(t, dir, box, "X=", "push", stopped).with("its PostgreSQL does not answer", "push again")
	if err := pg.start(); err != nil {
		t.Fatal(err)
	}
	pushAll(t, dir, stopped, "stopped", box)
	if got, want := rows(t, dir, stopped), rows(t, dir, box); got != want {
		t.Errorf("after the catalog was stopped:\n%s\nwant\n%s", got, want)
	}
}

// A lake with its Parquet files in an object store (moto's) gives the same reports. The catalog knows where the files are.
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
	for name, value := range map[string]string{"PGPASSWORD": lakePassword, "AWS_ACCESS_KEY_ID": "key",
		"AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:" + port} {
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
	for _, q := range []string{"COPY (SELECT 1) TO 's3://bucket/team/x.csv'", "SELECT * FROM read_csv('s3://bucket/x.csv')",
		"SELECT * FROM read_csv('https://127.0.0.1/x.csv')"} {
		try(1, "query", "--db", lake, "-c", q)
	}
	if err := store.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = store.Wait()
	cmd, out := wbCommand(t, dir, "run", "--db", box, "--sim-profile", "instant", "--conversations", "simple_qa", "--max-turns", "1",
		"--quiet", "--push", lake)
	const cause = ": its object store does not answer\n" +
		"hint: AWS_ENDPOINT_URL says where it is, if it is not Amazon's. The local file has not changed"
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), cause) {
		t.Errorf("without the object store: exit %d\n%s", code, out)
	}
}
