// Istio's own injector as a command, for comparisons: injects what comes on standard input as `istioctl kube-inject` does, without
// a cluster. libs/inject/src/injector.test.ts says how it is built.
//
//	istio-inject TEMPLATES VALUES MESH < in > out
//
// TEMPLATES is the folder with Istio's injection templates, VALUES and MESH are files. ENABLE_NATIVE_SIDECARS is read from the
// environment.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/kube/inject"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	raw := inject.RawTemplates{}
	for name, file := range map[string]string{"sidecar": "injection-template.yaml", "gateway": "gateway-injection-template.yaml"} {
		raw[name] = string(must(os.ReadFile(filepath.Join(os.Args[1], file))))
	}
	templates := must(inject.ParseTemplates(raw))
	values := must(inject.NewValuesConfig(string(must(os.ReadFile(os.Args[2])))))
	config := must(mesh.ApplyMeshConfigDefaults(string(must(os.ReadFile(os.Args[3])))))
	tell := func(text string) { fmt.Fprint(os.Stderr, text) }
	_, err := 0, inject.IntoResourceFile(nil, templates, values, "", config, os.Stdin, os.Stdout, tell)
	must(0, err)
}
