package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The part of CycloneDX 1.6 that is written here: https://cyclonedx.org/docs/1.6/json/
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     bomMetadata  `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type bomMetadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string       `json:"type"`
	Ref        string       `json:"bom-ref"`
	Name       string       `json:"name"`
	Version    string       `json:"version,omitempty"`
	Licences   []expression `json:"licenses"`
	PURL       string       `json:"purl,omitempty"`
	Properties []property   `json:"properties,omitempty"`
}

type expression struct {
	Expression string `json:"expression"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// sbom lists the parts of a binary as a software bill of materials. Its serial number is a hash of all else.
func sbom(s settings, p platform, parts []part) ([]byte, error) {
	const self = "wb"
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: bomMetadata{s.made.Format(time.RFC3339), component{
		Type: "application", Ref: self, Name: "wb", Version: strings.TrimPrefix(s.version, "v"), Licences: []expression{{"Apache-2.0"}},
		Properties: []property{{"wb:platform", "linux/" + p.goarch}, {"wb:glibc", newestGlibc}},
	}}}
	of := map[string][]string{} // by what contains it
	for _, x := range parts {
		c := component{Type: "library", Ref: x.purl, Name: x.name, Version: x.version, Licences: []expression{{x.licence}}, PURL: x.purl}
		container := self
		if x.purl == "" {
			c.Ref = x.name
			container, _, _ = strings.Cut(x.name, "/")
		}
		if x.name == "duckdb" {
			of["duckdb"] = append(of["duckdb"], x.purl) // first: the name that the others depend on
		}
		if x.sum != "" {
			c.Properties = []property{{"go:sum", x.sum}}
		}
		b.Components = append(b.Components, c)
		of[container] = append(of[container], c.Ref)
	}
	b.Dependencies = []dependency{{self, of[self]}}
	if inDuckDB := of["duckdb"]; len(inDuckDB) > 0 {
		b.Dependencies = append(b.Dependencies, dependency{inDuckDB[0], inDuckDB[1:]})
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	b.Serial = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, text).String()
	text, err = json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}
