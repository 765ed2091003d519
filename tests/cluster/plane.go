package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long the API server may take until it is ready, and each process to stop.
const (
	startLimit = 90 * time.Second
	stopLimit  = 15 * time.Second
)

// plane is a control plane: its processes, and the directory of their files and logs.
type plane struct {
	program   string
	dir       string
	address   string
	port      int
	etcd      int
	processes []*exec.Cmd
}

// newPlane writes the files of a control plane whose API server listens on address.
func newPlane(dir, address string) (*plane, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	p := &plane{program: program, dir: dir, address: address, port: ports[0], etcd: ports[1]}
	return p, p.writeFiles(ports[2])
}

// start returns when the API server is ready.
func (p *plane) start() error {
	if err := p.component("etcd", "--config", p.at("etcd.yaml")); err != nil {
		return err
	}
	if err := p.component("kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.etcd),
		fmt.Sprintf("--secure-port=%d", p.port),
		"--cert-dir="+p.at("certs"), "--bind-address="+p.address,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+p.at("sa.key"),
		"--service-account-key-file="+p.at("sa.pub"),
		"--token-auth-file="+p.at("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
		"--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file="+p.at("audit.yaml"), "--audit-log-path="+p.at("audit.log"),
		// Tests count its lines: it must not be begun anew under them.
		"--audit-log-mode=batch", "--audit-log-maxsize=10000"); err != nil {
		return err
	}
	ready := func() bool { _, err := p.get("/readyz"); return err == nil }
	if err := await("the API server to be ready", ready); err != nil {
		return err
	}
	// Without the higher limits its own throttle would hide ours.
	return p.component("kube-controller-manager",
		"--kubeconfig="+p.at("kubeconfig"),
		"--service-account-private-key-file="+p.at("sa.key"),
		"--root-ca-file="+p.at("certs/apiserver.crt"), "--leader-elect=false",
		"--secure-port=0", "--kube-api-qps=1000", "--kube-api-burst=2000",
		"--controllers=*,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller")
}

// at is a file of the cluster's directory.
func (p *plane) at(name string) string { return filepath.Join(p.dir, name) }

// component starts a subcommand of this program.
func (p *plane) component(name string, args ...string) error {
	return p.run(name, p.program, append([]string{name}, args...)...)
}

// run starts one process; it dies with this one, whatever kills it.
func (p *plane) run(name, program string, args ...string) error {
	log, err := os.Create(p.at(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(program, args...)
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := process.Start(); err != nil {
		return err
	}
	p.processes = append(p.processes, process)
	return nil
}

// get asks the API server as its administrator.
func (p *plane) get(path string) ([]byte, error) {
	// The certificate was made a moment ago by the server that is asked.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequest("GET", fmt.Sprintf("https://%s:%d%s", p.address, p.port, path), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// await asks until the answer is yes.
func await(what string, yes func() bool) error {
	ctx, cancel := context.WithTimeout(signals(), startLimit)
	defer cancel()
	for !yes() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// stop ends the newest process first. Old servers take seconds to leave on SIGTERM.
func (p *plane) stop() {
	for i := len(p.processes) - 1; i >= 0; i-- {
		process := p.processes[i]
		process.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(stopLimit, func() { process.Process.Kill() })
		process.Wait()
		timer.Stop()
	}
}

func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// All are held until all are known, so that none is given twice.
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// token of the one administrator; the server listens on this machine for one run.
const token = "axon-test-administrator"

func (p *plane) writeFiles(peer int) error {
	private, public, err := serviceAccountKeys()
	if err != nil {
		return err
	}
	files := map[string]string{
		"sa.key": private, "sa.pub": public,
		"tokens.csv": token + `,administrator,administrator,"system:masters"` + "\n",
		"audit.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
		"etcd.yaml": fmt.Sprintf(`name: test
data-dir: %[1]s/etcd
unsafe-no-fsync: true
log-level: error
listen-client-urls: http://127.0.0.1:%[2]d
advertise-client-urls: http://127.0.0.1:%[2]d
listen-peer-urls: http://127.0.0.1:%[3]d
initial-advertise-peer-urls: http://127.0.0.1:%[3]d
initial-cluster: test=http://127.0.0.1:%[3]d
`, p.dir, p.etcd, peer),
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://%[1]s:%[2]d", certificate-authority: %[3]s/certs/apiserver.crt}}]
users: [{name: test, user: {token: %[4]s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, p.address, p.port, p.dir, token),
	}
	for name, content := range files {
		if err := os.WriteFile(p.at(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func serviceAccountKeys() (private, public string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", "", err
	}
	open, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	armour := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return armour("EC PRIVATE KEY", der), armour("PUBLIC KEY", open), nil
}
