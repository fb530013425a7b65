package deploytest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ostiary/ostiary/internal/processtest"
)

// strict reads one YAML document, in which nothing may be unknown or said twice.
func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// The fields of Kubernetes' objects that ours have, as its API names them (v1.33). What a probe, a selector or a limit
// says is looked at; that nothing has a slip in its name is seen by reading it strictly.
type (
	labels map[string]string
	meta   struct {
		Name, Namespace string
		Labels          labels
	}
	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   meta
	}
	serviceAccount struct {
		object    `yaml:",inline"`
		Automount *bool `yaml:"automountServiceAccountToken"`
	}
	configMap struct {
		object `yaml:",inline"`
		Data   map[string]string
	}
	deployment struct {
		object `yaml:",inline"`
		Spec   struct {
			Replicas        int
			MinReadySeconds int `yaml:"minReadySeconds"`
			Strategy        struct {
				Type          string
				RollingUpdate struct {
					MaxUnavailable *int `yaml:"maxUnavailable"`
					MaxSurge       int  `yaml:"maxSurge"`
				} `yaml:"rollingUpdate"`
			}
			Selector selector
			Template struct {
				Metadata meta
				Spec     podSpec
			}
		}
	}
	podSpec struct {
		ServiceAccountName string `yaml:"serviceAccountName"`
		Automount          *bool  `yaml:"automountServiceAccountToken"`
		EnableServiceLinks *bool  `yaml:"enableServiceLinks"`
		Grace              int    `yaml:"terminationGracePeriodSeconds"`
		SecurityContext    struct {
			RunAsNonRoot bool                  `yaml:"runAsNonRoot"`
			RunAsUser    int                   `yaml:"runAsUser"`
			RunAsGroup   int                   `yaml:"runAsGroup"`
			FSGroup      int                   `yaml:"fsGroup"`
			Seccomp      struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Spread []struct {
			MaxSkew     int      `yaml:"maxSkew"`
			TopologyKey string   `yaml:"topologyKey"`
			When        string   `yaml:"whenUnsatisfiable"`
			Selector    selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Restart    string      `yaml:"restartPolicy"`
		Init       []container `yaml:"initContainers"`
		Containers []container
		Volumes    []struct {
			Name      string
			ConfigMap struct{ Name string } `yaml:"configMap"`
			EmptyDir  *struct{}             `yaml:"emptyDir"`
			Claim     struct {
				Name string `yaml:"claimName"`
			} `yaml:"persistentVolumeClaim"`
			Secret struct {
				Name  string `yaml:"secretName"`
				Mode  int    `yaml:"defaultMode"`
				Items []struct{ Key, Path string }
			}
		}
	}
	container struct {
		Name, Image string
		Command     []string
		Args        []string
		Env         []struct {
			Name, Value string
			ValueFrom   struct {
				FieldRef struct {
					FieldPath string `yaml:"fieldPath"`
				} `yaml:"fieldRef"`
			} `yaml:"valueFrom"`
		}
		Ports []struct {
			Name string
			Port int `yaml:"containerPort"`
		}
		StartupProbe   probe `yaml:"startupProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		Resources      struct {
			Requests struct{ CPU, Memory string }
			Limits   struct{ Memory string }
		}
		SecurityContext struct {
			Escalation   *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	probe struct {
		HTTPGet struct{ Path, Port, Scheme string } `yaml:"httpGet"`
		Period  int                                 `yaml:"periodSeconds"`
		Timeout int                                 `yaml:"timeoutSeconds"`
		Failure int                                 `yaml:"failureThreshold"`
	}
	budget struct {
		object `yaml:",inline"`
		Spec   struct {
			MaxUnavailable int `yaml:"maxUnavailable"`
			Selector       selector
		}
	}
	service struct {
		object `yaml:",inline"`
		Spec   struct {
			Type      string
			ClusterIP string `yaml:"clusterIP"`
			Policy    string `yaml:"externalTrafficPolicy"`
			Selector  labels
			Ports     []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	peerPolicy struct {
		Namespace selector `yaml:"namespaceSelector"`
	}
	portPolicy struct {
		Protocol string
		Port     int
	}
	networkPolicy struct {
		object `yaml:",inline"`
		Spec   struct {
			PodSelector selector `yaml:"podSelector"`
			Types       []string `yaml:"policyTypes"`
			Ingress     []struct {
				From  []peerPolicy
				Ports []portPolicy
			}
			Egress []struct {
				To    []peerPolicy
				Ports []portPolicy
			}
		}
	}
	monitor struct {
		object `yaml:",inline"`
		Spec   struct {
			JobLabel  string `yaml:"jobLabel"`
			Selector  selector
			Endpoints []struct{ Port, Path, Interval string }
		}
	}
)

// manifests are all objects in a directory, by kind and name.
func manifests(t *testing.T) map[string]any {
	t.Helper()
	files, err := filepath.Glob(deploy + "kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	kinds := map[string]func() any{
		"v1 Namespace": func() any { return &object{} }, "v1 ServiceAccount": func() any { return &serviceAccount{} },
		"v1 ConfigMap": func() any { return &configMap{} }, "v1 Service": func() any { return &service{} },
		"apps/v1 Deployment": func() any { return &deployment{} }, "policy/v1 PodDisruptionBudget": func() any { return &budget{} },
		"networking.k8s.io/v1 NetworkPolicy": func() any { return &networkPolicy{} },
		"batch/v1 CronJob":                   func() any { return &cronJob{} }, "v1 PersistentVolumeClaim": func() any { return &claim{} },
		"monitoring.coreos.com/v1 ServiceMonitor": func() any { return &monitor{} },
	}
	all := map[string]any{}
	for _, file := range files {
		for d := yaml.NewDecoder(strings.NewReader(read(t, file))); ; {
			var node yaml.Node
			if err := d.Decode(&node); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			var o object
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			kind := kinds[o.APIVersion+" "+o.Kind]
			if kind == nil {
				t.Fatalf("%s: %+v is of no kind that is known here", file, o)
			}
			text, err := yaml.Marshal(&node)
			if err != nil {
				t.Fatal(err)
			}
			into := kind()
			strict(t, text, into)
			if o.Kind != "Namespace" && o.Metadata.Namespace != "ostiary" {
				t.Errorf("%s %s is in the namespace %q", o.Kind, o.Metadata.Name, o.Metadata.Namespace)
			}
			all[o.Kind+" "+o.Metadata.Name] = into
		}
	}
	return all
}

func TestKubernetes_Deployment(t *testing.T) {
	all := manifests(t)
	d, ok := all["Deployment ostiary"].(*deployment)
	if !ok || len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%v", all)
	}
	pod, c := &d.Spec.Template.Spec, &d.Spec.Template.Spec.Containers[0]
	update := d.Spec.Strategy.RollingUpdate
	if d.Spec.Replicas < 2 || d.Spec.Strategy.Type != "RollingUpdate" || update.MaxUnavailable == nil || *update.MaxUnavailable != 0 || update.MaxSurge < 1 {
		t.Errorf("an update takes nodes away: %+v", d.Spec)
	}
	// The policy "restricted" of Pod Security Standards, and what it leaves open.
	s, sc := pod.SecurityContext, c.SecurityContext
	if !s.RunAsNonRoot || s.RunAsUser != nonroot || s.FSGroup != s.RunAsGroup || s.Seccomp.Type != "RuntimeDefault" ||
		sc.Escalation == nil || *sc.Escalation || !sc.ReadOnly || strings.Join(sc.Capabilities.Drop, "") != "ALL" {
		t.Errorf("not restricted: %+v %+v", s, sc)
	}
	if pod.Automount == nil || *pod.Automount || pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("the pod is given a token, or variables that look like settings")
	}
	for name, p := range map[string]probe{"/ostiary/healthz": c.LivenessProbe, "/ostiary/readyz": c.ReadinessProbe, "/ostiary/healthz ": c.StartupProbe} {
		if p.HTTPGet.Path != strings.TrimSpace(name) || p.HTTPGet.Port != "https" || p.HTTPGet.Scheme != "HTTPS" || p.Period == 0 || p.Failure == 0 {
			t.Errorf("%s is asked by %+v", name, p)
		}
	}
	if c.StartupProbe.Period*c.StartupProbe.Failure < 300 {
		t.Errorf("migrations have %d times %d s", c.StartupProbe.Failure, c.StartupProbe.Period)
	}
	for name, labels := range map[string]labels{
		"the Deployment": d.Spec.Selector.MatchLabels, "the budget": all["PodDisruptionBudget ostiary"].(*budget).Spec.Selector.MatchLabels,
		"the Service": all["Service ostiary"].(*service).Spec.Selector, "the Service for metrics": all["Service ostiary-admin"].(*service).Spec.Selector,
		"the NetworkPolicy": all["NetworkPolicy ostiary"].(*networkPolicy).Spec.PodSelector.MatchLabels, "the spread": pod.Spread[0].Selector.MatchLabels,
	} {
		if len(labels) != 1 || labels["app.kubernetes.io/name"] != d.Spec.Template.Metadata.Labels["app.kubernetes.io/name"] {
			t.Errorf("%s selects %v", name, labels)
		}
	}
	if m := all["ServiceMonitor ostiary"].(*monitor); m.Spec.Endpoints[0].Port != "admin" || m.Spec.Endpoints[0].Path != "/metrics" ||
		m.Spec.JobLabel != "app.kubernetes.io/name" || !strings.Contains(read(t, deploy+"prometheus/alerts.yml"), `up{job="ostiary"}`) ||
		m.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != all["Service ostiary-admin"].(*service).Metadata.Labels["app.kubernetes.io/name"] {
		t.Errorf("metrics are asked by %+v", m.Spec)
	}
	if b := all["PodDisruptionBudget ostiary"].(*budget); b.Spec.MaxUnavailable >= d.Spec.Replicas {
		t.Errorf("all nodes may be taken away: %+v", b)
	}
}

// TestKubernetes_Memory: a node hashes no more passwords at once than its memory has room for, however many
// cores the machine has: imported hashes of 64 MiB, and one of 256.
func TestKubernetes_Memory(t *testing.T) {
	all := manifests(t)
	limit := regexp.MustCompile(`^(\d+)Mi$`).FindStringSubmatch(all["Deployment ostiary"].(*deployment).Spec.Template.Spec.Containers[0].Resources.Limits.Memory)
	slots := regexp.MustCompile(`(?m)^hash_slots = (\d+)$`).FindStringSubmatch(all["ConfigMap ostiary"].(*configMap).Data["ostiary.toml"])
	if limit == nil || slots == nil {
		t.Fatalf("%q %q", limit, slots)
	}
	n, err := strconv.Atoi(slots[1])
	mib, err2 := strconv.Atoi(limit[1])
	if err != nil || err2 != nil || 100+n*19+(n-1)*64+256 > mib {
		t.Errorf("%d slots in %d MiB: %v %v", n, mib, err, err2)
	}
}

// TestKubernetes_Grace: Kubernetes waits longer than a node takes to stop.
func TestKubernetes_Grace(t *testing.T) {
	all := manifests(t)
	grace := time.Duration(all["Deployment ostiary"].(*deployment).Spec.Template.Spec.Grace) * time.Second
	text := all["ConfigMap ostiary"].(*configMap).Data["ostiary.toml"]
	m := regexp.MustCompile(`(?m)^stop_delay = "(.*)"$`).FindStringSubmatch(text)
	drain := regexp.MustCompile(`(?m)^const drain = (\d+) \* time.Second$`).FindStringSubmatch(read(t, "../../cmd/ostiary/serve.go"))
	if m == nil || drain == nil {
		t.Fatalf("%q %q", m, drain)
	}
	delay, err := time.ParseDuration(m[1])
	flight, err2 := time.ParseDuration(drain[1] + "s")
	if err != nil || err2 != nil || grace < delay+flight+5*time.Second {
		t.Errorf("%v for %v and %v: %v %v", grace, delay, flight, err, err2)
	}
	unit := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(read(t, deploy+"systemd/ostiary.service"))
	compose := regexp.MustCompile(`stop_grace_period: (\d+)s`).FindStringSubmatch(read(t, deploy+"compose/compose.yaml"))
	for _, found := range [][]string{unit, compose} {
		if found == nil {
			t.Fatal("no time to stop")
		}
		if d, err := time.ParseDuration(found[1] + "s"); err != nil || d < delay+flight+5*time.Second {
			t.Errorf("%s for %v and %v", found[0], delay, flight)
		}
	}
}

// TestKubernetes_Files: what the configuration names is where the volumes put it, and the server takes it.
func TestKubernetes_Files(t *testing.T) {
	all := manifests(t)
	pod := all["Deployment ostiary"].(*deployment).Spec.Template.Spec
	c := pod.Containers[0]
	at := map[string]string{}
	for _, m := range c.VolumeMounts {
		if !m.ReadOnly && m.MountPath != "/tmp" {
			t.Errorf("%s can be written", m.MountPath)
		}
		at[m.Name] = m.MountPath
	}
	if at["tmp"] != "/tmp" {
		t.Error("an import by standard input has no place to be kept in")
	}
	for _, v := range pod.Volumes {
		if v.Secret.Name != "" && v.Secret.Mode != 0o400 {
			t.Errorf("%s has mode %o", v.Name, v.Secret.Mode)
		}
	}
	text := all["ConfigMap ostiary"].(*configMap).Data["ostiary.toml"]
	if strings.Join(c.Args, " ") != "serve --config "+at["config"]+"/ostiary.toml" {
		t.Errorf("it is started by %q", c.Args)
	}
	dir := t.TempDir()
	address := processtest.FreeAddress(t)
	write(t, filepath.Join(dir, "master.key"), key)
	write(t, filepath.Join(dir, "database"), "sqlite:"+filepath.Join(dir, "ostiary.db"))
	certificate(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	text = replaced(t, text, at["secrets"]+"/database", filepath.Join(dir, "database"), at["secrets"]+"/master.key", filepath.Join(dir, "master.key"),
		at["tls"]+"/tls.crt", filepath.Join(dir, "tls.crt"), at["tls"]+"/tls.key", filepath.Join(dir, "tls.key"),
		`listen = ":8443"`, `listen = "`+address+`"`, `stop_delay = "10s"`, `stop_delay = "0s"`)
	server, admin := command(t, "serve", "--config", write(t, filepath.Join(dir, "ostiary.toml"), text)), processtest.FreeAddress(t)
	if e := c.Env[1]; e.Name != "OSTIARY_ADMIN_LISTEN" || e.Value != "$(POD_IP):9090" || c.Env[0].Name != "POD_IP" {
		t.Errorf("the environment is %+v", c.Env)
	}
	server.Env = append(os.Environ(), "OSTIARY_ADMIN_LISTEN="+admin)
	log, stop := start(t, server)
	await(t, http.DefaultClient, "http://"+admin+all["ServiceMonitor ostiary"].(*monitor).Spec.Endpoints[0].Path, log)
	for _, path := range []string{c.StartupProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path} {
		await(t, anyTLS, "https://"+address+path, log)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("ostiary-data"); err == nil {
		t.Error("a data directory was made, where the container has none")
	}
}
