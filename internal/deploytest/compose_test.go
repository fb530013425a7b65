package deploytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/pgtest"
	"github.com/ostiary/ostiary/internal/processtest"
)

// anyTLS asks whoever answers, by any certificate.
var anyTLS = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its own

// certificate makes one, for whoever asks.
func certificate(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(100 * 24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	public := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if key == "" {
		write(t, cert, public+text)
		return
	}
	write(t, cert, public)
	write(t, key, text)
}

// command is the program, with a directory of its own as its working directory.
func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(processtest.Binary(t), args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// The fields of the Compose Specification that ours has.
type (
	compose struct {
		Name     string
		Services map[string]composeService
		Networks map[string]struct {
			Internal bool
			IPAM     struct {
				Config []struct {
					Subnet netip.Prefix
					Range  netip.Prefix `yaml:"ip_range"`
				}
			}
		}
		Volumes map[string]any
		Secrets map[string]struct{ File string }
	}
	composeService struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Restart     string
		DependsOn   any `yaml:"depends_on"`
		Ports       []string
		Volumes     []string
		Networks    any
		StopGrace   string `yaml:"stop_grace_period"`
		ReadOnly    bool   `yaml:"read_only"`
		Tmpfs       []string
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Environment map[string]string
		Secrets     []string
		Healthcheck struct {
			Test              []string
			Interval, Timeout string
			Retries           int
		}
	}
)

func TestCompose_Nodes(t *testing.T) {
	var c compose
	strict(t, []byte(read(t, deploy+"compose/compose.yaml")), &c)
	for _, name := range []string{"one", "two"} {
		s := c.Services[name]
		if !s.ReadOnly || !slices.Equal(s.Tmpfs, []string{"/tmp"}) || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || len(s.Ports) != 0 {
			t.Errorf("%s may do more than it needs: %+v", name, s)
		}
		for variable, secret := range map[string]string{"OSTIARY_DATABASE_FILE": "database", "OSTIARY_MASTER_KEY_FILE": "master.key"} {
			if s.Environment[variable] != "/run/secrets/"+secret || !slices.Contains(s.Secrets, secret) || c.Secrets[secret].File == "" {
				t.Errorf("%s has no %s", name, secret)
			}
		}
		if s.Build.Context != "../.." || s.Build.Dockerfile != "deploy/Dockerfile" {
			t.Errorf("%s is built from %+v", name, s.Build)
		}
	}
	proxy := netip.MustParseAddr("172.30.0.2")
	if front := c.Networks["front"].IPAM.Config[0]; !front.Subnet.Contains(proxy) || !front.Subnet.Overlaps(front.Range) || front.Range.Contains(proxy) {
		t.Errorf("a node may be given the proxy's address: %+v", front)
	}
	if !c.Networks["back"].Internal || !strings.Contains(read(t, deploy+"compose/ostiary.toml"), `"172.30.0.2/32"`) ||
		!strings.Contains(read(t, deploy+"compose/compose.yaml"), "ipv4_address: 172.30.0.2\n") {
		t.Error("the proxy that the nodes trust is not the one that there is")
	}
}

// TestCompose_Runs runs two nodes and HAProxy by the files of deploy/compose, on loopback and on one PostgreSQL.
func TestCompose_Runs(t *testing.T) {
	haproxy := tool(t, "haproxy")
	dir := t.TempDir()
	secrets := []string{"--database", pgtest.URL(t), "--master-key-file", write(t, filepath.Join(dir, "master.key"), key)}
	front := processtest.FreeAddress(t)
	config := replaced(t, read(t, deploy+"compose/haproxy.cfg"), ":8443", front, "/run/secrets/tls.pem", filepath.Join(dir, "tls.pem"),
		" resolvers docker init-addr last,libc,none", "", "resolvers docker\n    parse-resolv-conf\n    hold valid 2s\n", "")
	certificate(t, filepath.Join(dir, "tls.pem"), "")
	var stops []func() error
	for _, name := range []string{"one", "two"} {
		address := processtest.FreeAddress(t)
		config = replaced(t, config, name+":8080", address)
		file := write(t, filepath.Join(dir, name+".toml"), replaced(t, read(t, deploy+"compose/ostiary.toml"), "0.0.0.0:8080", address))
		log, stop := start(t, command(t, append([]string{"serve", "--config", file}, secrets...)...))
		await(t, http.DefaultClient, "http://"+address+"/ostiary/readyz", log)
		if out := run(t, "", processtest.Binary(t), "ready", "--config", file); out != "ready\n" { // as HEALTHCHECK asks
			t.Errorf("%s says %q", name, out)
		}
		stops = append(stops, stop)
	}
	path := write(t, filepath.Join(dir, "haproxy.cfg"), config)
	run(t, "", haproxy, "-c", "-f", path)
	log, _ := start(t, exec.Command(haproxy, "-db", "-f", path))
	url := "https://" + front
	await(t, anyTLS, url+"/ostiary/readyz", log)
	run(t, "quiet otters juggle lanterns", processtest.Binary(t), append([]string{"account", "create", "--username", "ada", "--password-stdin"}, secrets...)...)
	signIn(t, anyTLS, url)
	// One node is told to stop: it goes on until HAProxy has noticed, and no request fails.
	stopped := make(chan error, 1)
	go func() { stopped <- stops[0]() }()
	for done := false; !done; {
		select {
		case err := <-stopped:
			if done = true; err != nil {
				t.Error(err)
			}
		default:
		}
		signIn(t, anyTLS, url)
	}
	signIn(t, anyTLS, url)
}
