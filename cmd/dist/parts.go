package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// part is something of others inside the binary.
type part struct {
	name    string
	version string // "" when it is not known
	purl    string // where it comes from, as a package URL; "" when it is inside another part
	licence string // an expression of SPDX
	sum     string // of Go's go.sum; "" for what is no Go module
	texts   []entry
}

// inside lists what a binary contains: Go's library, Go modules, DuckDB and what DuckDB contains, ECharts and GCC's library.
func inside(path string, s settings) ([]part, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, err := modules(info.Deps)
	if err != nil {
		return nil, err
	}
	golang, err := goLibrary(strings.TrimPrefix(info.GoVersion, "go"))
	if err != nil {
		return nil, err
	}
	charts, err := echarts()
	if err != nil {
		return nil, err
	}
	gcc, err := gccLibrary(s.gcc, s.texts)
	if err != nil {
		return nil, err
	}
	all = append(append(all, golang, gcc), charts...)
	duckdb, err := duckDB(info.Deps)
	return append(all, duckdb...), err
}

func modules(deps []*debug.Module) ([]part, error) {
	args := []string{"list", "-m", "-json=Path,Dir"}
	for _, d := range deps {
		args = append(args, d.Path)
	}
	out, err := exec.Command(goCommand(), args...).Output() // wb's go.mod decides, as it did for the build
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("list modules: %w", err)
		}
		dirs[m.Path] = m.Dir
	}
	var all []part
	for _, d := range deps {
		texts, err := licenceFiles(dirs[d.Path])
		if err != nil {
			return nil, fmt.Errorf("module %s: %w", d.Path, err)
		}
		licence := classify(texts)
		if licence == "" {
			return nil, fmt.Errorf("module %s: its licence is not known to parts.go", d.Path)
		}
		all = append(all, part{d.Path, d.Version, "pkg:golang/" + d.Path + "@" + d.Version, licence, d.Sum, texts})
	}
	return all, nil
}

var licenceFile = regexp.MustCompile(`(?i)^((licen[cs]e|copying)(\.(txt|md))?|.*notices?(\.(txt|md))?)$`)

// licenceFiles reads the licences and notices at the top of a folder.
func licenceFiles(dir string) ([]entry, error) {
	if dir == "" {
		return nil, errors.New("it is not in the module cache")
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range files {
		if f.IsDir() || !licenceFile.MatchString(f.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, entry{f.Name(), 0o644, data})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no licence", dir)
	}
	return all, nil
}

// signs are sentences that only one licence has.
var signs = []struct{ licence, sign string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"Apache-2.0", "Licensed under the Apache License, Version 2.0"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
	{"CC0-1.0", "CC0 1.0 Universal"},
}

// classify names the licences whose texts are in the files of a part, joined by AND; "" when there is none that it knows.
func classify(texts []entry) string {
	found := map[string]bool{}
	for _, e := range texts {
		text := strings.Join(strings.Fields(string(e.data)), " ")
		for _, s := range signs {
			found[s.licence] = found[s.licence] || strings.Contains(text, s.sign)
		}
		if strings.Contains(text, "Redistribution and use in source and binary forms") {
			three := regexp.MustCompile(`(?i)neither the names? of|names? of .{0,60} may not be used to endorse`).MatchString(text)
			found["BSD-3-Clause"] = found["BSD-3-Clause"] || three
			found["BSD-2-Clause"] = found["BSD-2-Clause"] || !three
		}
	}
	var names []string
	for name, is := range found {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " AND ")
}

// goCommand is the Go that builds the release: $GO, as in .ci/dist.
func goCommand() string { return cmp.Or(os.Getenv("GO"), "go") }

func goLibrary(version string) (part, error) {
	out, err := exec.Command(goCommand(), "env", "GOROOT").Output()
	if err != nil {
		return part{}, fmt.Errorf("find Go: %w", err)
	}
	root := strings.TrimSpace(string(out))
	texts, err := licenceFiles(root)
	if err != nil {
		return part{}, fmt.Errorf("the licence of Go: %w", err)
	}
	return part{name: "std", version: version, purl: "pkg:golang/std@" + version, licence: "BSD-3-Clause", texts: texts}, nil
}

var echartsPin = regexp.MustCompile(`(?m)^version=([0-9.]+)`)

// chartsOf is the ECharts in whose packages the licences of echarts-parts.txt were found: those of zrender and tslib, which it is built
// from, and that of d3, some of which is in it.
const chartsOf = "5.6.0"

//go:embed echarts-parts.txt
var echartsParts string

// echarts lists ECharts and what its one file contains.
func echarts() ([]part, error) {
	const dir = "viz/assets"
	script, err := os.ReadFile(dir + "/fetch.sh")
	if err != nil {
		return nil, err
	}
	m := echartsPin.FindSubmatch(script)
	if m == nil {
		return nil, errors.New("viz/assets/fetch.sh names no version of ECharts")
	}
	if v := string(m[1]); v != chartsOf {
		return nil, fmt.Errorf("echarts-parts.txt is of ECharts %s, and the binary has %s: read the licences of its parts", chartsOf, v)
	}
	p := part{name: "echarts", version: string(m[1]), purl: "pkg:npm/echarts@" + string(m[1]), licence: "Apache-2.0"}
	for _, suffix := range []string{"LICENSE", "NOTICE"} {
		data, err := os.ReadFile(dir + "/echarts." + suffix)
		if err != nil {
			return nil, fmt.Errorf("%w; make echarts brings it", err)
		}
		p.texts = append(p.texts, entry{suffix, 0o644, data})
	}
	_, err = os.Stat(dir + "/echarts.min.js") // otherwise the charts would need a network
	return append([]part{p}, bundled(p.name, echartsParts)...), err
}

// bundledPart matches the line above the licence of something that another part contains.
var bundledPart = regexp.MustCompile(`(?m)^=== ([A-Za-z0-9_+-]+): (.+)\n`)

// bundled lists what the part of that name contains, from a text with a line "=== NAME: LICENCE" above each licence.
func bundled(name, text string) (all []part) {
	at := bundledPart.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		all = append(all, part{name: name + "/" + text[m[2]:m[3]], licence: text[m[4]:m[5]],
			texts: []entry{{"LICENSE", 0o644, []byte(text[m[1]:end])}}})
	}
	return all
}

func gccLibrary(version, dir string) (part, error) {
	texts, err := folder(dir, "gcc")
	if err == nil && len(texts) == 0 {
		err = errors.New("there is no text of its licence")
	}
	if err != nil {
		return part{}, fmt.Errorf("GCC's library: %w", err)
	}
	for i := range texts {
		texts[i].name = strings.TrimPrefix(texts[i].name, "gcc/")
	}
	return part{name: "libstdc++", version: version, purl: "pkg:generic/gcc@" + version, texts: texts,
		licence: "GPL-3.0-or-later WITH GCC-exception-3.1"}, nil
}

// partsOf is the DuckDB in whose source the licences of duckdb-parts.txt were found.
const partsOf = "1.5.5"

//go:embed duckdb-parts.txt
var duckdbParts string

// duckDB lists DuckDB and what it contains. duckdb-parts.txt holds the licences that DuckDB's source has below third_party and extension.
func duckDB(deps []*debug.Module) ([]part, error) {
	i := slices.IndexFunc(deps, func(m *debug.Module) bool { return m.Path == "github.com/duckdb/duckdb-go-bindings" })
	if i < 0 {
		return nil, errors.New("the binary has no DuckDB")
	}
	version, err := duckdbVersion(deps[i].Version)
	if err != nil {
		return nil, err
	}
	if version != partsOf {
		return nil, fmt.Errorf("duckdb-parts.txt is of DuckDB %s, and the binary has %s: read the licences in its source", partsOf, version)
	}
	// The bindings carry the licence of DuckDB itself.
	all := []part{{name: "duckdb", version: version, purl: "pkg:github/duckdb/duckdb@v" + version, licence: "MIT"}}
	return append(all, bundled("duckdb", duckdbParts)...), nil
}

var bindings = regexp.MustCompile(`^v0\.(\d+)(\d\d)(\d\d)\.\d+$`)

// duckdbVersion reads the version of DuckDB from that of its Go bindings: v0.10505.0 has DuckDB 1.5.5.
func duckdbVersion(version string) (string, error) {
	m := bindings.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("duckdb-go-bindings %s names no version of DuckDB", version)
	}
	return fmt.Sprintf("%s.%s.%s", m[1], strings.TrimPrefix(m[2], "0"), strings.TrimPrefix(m[3], "0")), nil
}

// licences gives the texts of all parts, each in a folder of its part.
func licences(parts []part) []entry {
	var all []entry
	for _, p := range parts {
		dir := p.name
		if p.version != "" {
			dir += "@" + p.version
		}
		for _, t := range p.texts {
			all = append(all, entry{"licenses/" + dir + "/" + t.name, t.mode, t.data})
		}
	}
	return all
}
