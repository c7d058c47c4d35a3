package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestPythonVersion(t *testing.T) {
	for give, want := range map[string]string{
		"v0.2.0":                   "0.2.0",
		"v0.1.0-4-g713fec0":        "0.1.0.post4+g713fec0",
		"v0.1.0-dirty":             "0.1.0+dirty",
		"v0.1.0-4-g713fec0-dirty":  "0.1.0.post4+g713fec0.dirty",
		"713fec0":                  "0.0.0+g713fec0",
		"1234567":                  "0.0.0+g1234567", // a commit without letters is no version
		"v0.3.0-rc1":               "0.0.0+gv0.3.0.rc1",
		"v0.3.0-rc1-2-gabcdef0":    "0.0.0+gv0.3.0.rc1.2.gabcdef0",
		"v10.20.30-120-g0123456ab": "10.20.30.post120+g0123456ab",
	} {
		if got := pythonVersion(give); got != want {
			t.Errorf("%s: %s, want %s", give, got, want)
		}
	}
}

func TestSymbols(t *testing.T) {
	symbol := func(name, version string) elf.ImportedSymbol { return elf.ImportedSymbol{Name: name, Version: version} }
	newest, err := checkSymbols([]elf.ImportedSymbol{symbol("a", "GLIBC_2.4"), symbol("b", "GLIBC_2.34"), symbol("c", ""),
		symbol("d", "GLIBC_2.17")})
	if err != nil || newest != "2.34" {
		t.Errorf("%s (%v)", newest, err)
	}
	_, err = checkSymbols([]elf.ImportedSymbol{symbol("a", "GLIBC_2.34"), symbol("arc4random", "GLIBC_2.36")})
	if err == nil || !strings.Contains(err.Error(), "arc4random needs glibc 2.36") {
		t.Errorf("%v", err)
	}
	if _, err = checkSymbols(nil); err == nil {
		t.Error("a file without symbols passes")
	}
}

func TestClassify(t *testing.T) {
	const bsd = "Redistribution and use in source\nand binary forms, with or without"
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                  "Apache-2.0",
		"Permission is hereby granted, free of\ncharge, to any person obtaining a copy": "MIT",
		bsd:                            "BSD-2-Clause",
		bsd + " Neither the name of X": "BSD-3-Clause",
		bsd + "Permission is hereby granted, free of charge, to any person obtaining a copy": "BSD-2-Clause AND MIT",
		"all rights reserved": "",
	} {
		if got := classify([]entry{{"LICENSE", 0o644, []byte(text)}}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestDuckDBVersion(t *testing.T) {
	for give, want := range map[string]string{"v0.10505.0": "1.5.5", "v0.10410.2": "1.4.10", "v0.20000.0": "2.0.0", "v1.2.3": ""} {
		if got, err := duckdbVersion(give); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s (%v), want %s", give, got, err, want)
		}
	}
}

var toy = settings{version: "v1.2.3", made: time.Unix(1_700_000_000, 0).UTC()}

// TestArchives packs the same files in two orders: the bytes are equal, and what is inside is what was given.
func TestArchives(t *testing.T) {
	files := []entry{{"bin/wb", 0o755, []byte("binary")}, {"share/x", 0o644, []byte("text")}}
	dir := t.TempDir()
	var made [2][]byte
	for i, order := range [][]entry{files, {files[1], files[0]}} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := writeTar(path, "wb", order, toy.made); err != nil {
			t.Fatal(err)
		}
		made[i] = read(t, path)
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("the order of the files changes the archive")
	}
	z, err := gzip.NewReader(bytes.NewReader(made[0]))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for _, f := range files {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		if h.Name != "wb/"+f.name || h.Mode != f.mode || h.Uid != 0 || h.Uname != "" || !h.ModTime.Equal(toy.made) || !bytes.Equal(data, f.data) {
			t.Errorf("%+v holds %q", h, data)
		}
	}
}

func TestWheel(t *testing.T) {
	path := filepath.Join(t.TempDir(), wheelName(toy.version, platforms[0]))
	if filepath.Base(path) != "wb_bench-1.2.3-py3-none-manylinux_2_34_x86_64.whl" {
		t.Error(path)
	}
	texts := []entry{{"licenses/a@1/LICENSE", 0o644, []byte("may use")}}
	shared := []entry{{"share/man/man1/wb.1", 0o644, []byte(".TH")}}
	if err := writeWheel(path, toy, platforms[0], wheelFiles(toy.version, []byte("binary"), []byte("{}"), texts, shared)); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	found := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name] = string(data)
		if executable := f.Mode()&0o111 != 0; executable != strings.HasSuffix(f.Name, "/scripts/wb") {
			t.Errorf("%s has mode %v", f.Name, f.Mode())
		}
	}
	record := strings.Split(strings.TrimSpace(found["wb_bench-1.2.3.dist-info/RECORD"]), "\n")
	if len(record) != len(found) {
		t.Errorf("%d lines for %d files", len(record), len(found))
	}
	for _, line := range record {
		part := strings.Split(line, ",")
		if strings.HasSuffix(part[0], "/RECORD") {
			continue
		}
		sum := sha256.Sum256([]byte(found[part[0]]))
		if want := "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]); part[1] != want || part[2] != fmt.Sprint(len(found[part[0]])) {
			t.Errorf("%s, want %s", line, want)
		}
	}
	for file, want := range map[string]string{
		"wb_bench-1.2.3.data/scripts/wb":                "binary",
		"wb_bench-1.2.3.data/data/share/man/man1/wb.1":  ".TH",
		"wb_bench-1.2.3.dist-info/licenses/a@1/LICENSE": "may use",
		"wb_bench-1.2.3.dist-info/METADATA":             "Name: wb-bench\nVersion: 1.2.3\n",
		"wb_bench-1.2.3.dist-info/WHEEL":                "Root-Is-Purelib: false\nTag: py3-none-manylinux_2_34_x86_64\n",
		"wb_bench-1.2.3.dist-info/sboms/wb.cdx.json":    "{}",
	} {
		if !strings.Contains(found[file], want) {
			t.Errorf("%s: %q, want %q in it", file, found[file], want)
		}
	}
	if !strings.Contains(found["wb_bench-1.2.3.dist-info/METADATA"], "License-File: a@1/LICENSE\n") {
		t.Error("METADATA does not name the licence of a part")
	}
}

func TestSBOM(t *testing.T) {
	parts := []part{
		{name: "a.org/b", version: "v1.0.0", purl: "pkg:golang/a.org/b@v1.0.0", licence: "MIT", sum: "h1:x"},
		{name: "duckdb", version: "1.5.5", purl: "pkg:github/duckdb/duckdb@v1.5.5", licence: "MIT"},
		{name: "duckdb/zstd", licence: "BSD-3-Clause"},
	}
	text, err := sbom(toy, platforms[1], parts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sbom(toy, platforms[1], parts)
	if err != nil || !bytes.Equal(text, again) {
		t.Error("two lists of the same parts differ")
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Spec != "1.6" || !strings.HasPrefix(b.Serial, "urn:uuid:") ||
		b.Metadata.Timestamp != "2023-11-14T22:13:20Z" || len(b.Components) != 3 || b.Components[0].Properties[0].Value != "h1:x" {
		t.Errorf("%s", text)
	}
	want := []dependency{{"wb", []string{parts[0].purl, parts[1].purl}}, {parts[1].purl, []string{"duckdb/zstd"}}}
	if fmt.Sprint(b.Dependencies) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", b.Dependencies, want)
	}
}

// TestOtherDuckDB checks that the licences of one DuckDB are not given out as those of another.
func TestOtherDuckDB(t *testing.T) {
	bindings := func(version string) []*debug.Module {
		return []*debug.Module{{Path: "github.com/duckdb/duckdb-go-bindings", Version: version}}
	}
	if parts, err := duckDB(bindings("v0.10505.0")); err != nil || len(parts) < 30 {
		t.Errorf("%d parts (%v)", len(parts), err)
	}
	if _, err := duckDB(bindings("v0.10506.0")); err == nil || !strings.Contains(err.Error(), "duckdb-parts.txt") {
		t.Errorf("%v", err)
	}
}

// TestBundled holds the files with the licences of what DuckDB and ECharts contain: each has a name, a licence and a text.
func TestBundled(t *testing.T) {
	for text, least := range map[string]int{duckdbParts: 30, echartsParts: 3} {
		all := bundled("x", text)
		if len(all) < least || !strings.HasPrefix(text, "=== ") {
			t.Errorf("%d parts, want at least %d", len(all), least)
		}
		for _, p := range all {
			if licence := string(p.texts[0].data); len(licence) < 100 || strings.Contains(licence, "\n=== ") || p.licence == "" {
				t.Errorf("%s, %s: %q", p.name, p.licence, licence)
			}
		}
	}
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sums(dir, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x  a\n", sha256.Sum256([]byte("x")))
	if got := read(t, filepath.Join(dir, "SHA256SUMS")); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
