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
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// How long the API server may take until it is ready, and each process to stop.
const (
	startLimit = 90 * time.Second
	stopLimit  = 15 * time.Second
)

// with runs a command beside a fresh control plane (etcd, kube-apiserver,
// kube-controller-manager) and takes the control plane down after it. The command finds
// AXON_TEST_KUBECONFIG, AXON_TEST_AUDIT_LOG and AXON_TEST_KUBECTL in its environment.
func with() *cobra.Command {
	return &cobra.Command{
		Use:                "with COMMAND...",
		SilenceUsage:       true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp("", "axon-cluster-")
			if err != nil {
				return err
			}
			err = runWith(dir, args)
			if err == nil {
				return os.RemoveAll(dir)
			}
			fmt.Fprintln(os.Stderr, "logs of the control plane:", dir)
			return err
		},
	}
}

func runWith(dir string, args []string) error {
	plane, err := start(dir)
	defer plane.stop()
	if err != nil {
		return err
	}
	stop := signals()
	command := exec.CommandContext(stop, args[0], args[1:]...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopLimit
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"AXON_TEST_KUBECONFIG="+filepath.Join(dir, "kubeconfig"),
		"AXON_TEST_AUDIT_LOG="+filepath.Join(dir, "audit.log"),
		"AXON_TEST_KUBECTL="+plane.program+" kubectl")
	return command.Run()
}

// plane is a running control plane.
type plane struct {
	program   string
	dir       string
	processes []*exec.Cmd
}

func start(dir string) (*plane, error) {
	program, err := os.Executable()
	p := &plane{program: program, dir: dir}
	if err != nil {
		return p, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return p, err
	}
	client, peer, secure := ports[0], ports[1], ports[2]
	if err := writeFiles(dir, client, peer, secure); err != nil {
		return p, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := p.run("etcd", "--config", at("etcd.yaml")); err != nil {
		return p, err
	}
	if err := p.run("kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", client),
		fmt.Sprintf("--secure-port=%d", secure),
		"--cert-dir="+at("certs"), "--bind-address=127.0.0.1",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+at("sa.key"),
		"--service-account-key-file="+at("sa.pub"),
		"--token-auth-file="+at("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
		"--audit-policy-file="+at("audit.yaml"), "--audit-log-path="+at("audit.log"),
		"--audit-log-mode=batch"); err != nil {
		return p, err
	}
	if err := p.ready(fmt.Sprintf("https://127.0.0.1:%d/readyz", secure)); err != nil {
		return p, err
	}
	// Without the higher limits its own throttle would hide ours.
	return p, p.run("kube-controller-manager",
		"--kubeconfig="+at("kubeconfig"),
		"--service-account-private-key-file="+at("sa.key"),
		"--root-ca-file="+at("certs/apiserver.crt"), "--leader-elect=false",
		"--secure-port=0", "--kube-api-qps=1000", "--kube-api-burst=2000",
		"--controllers=*,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller")
}

// run starts one component; it dies with this process, whatever kills it.
func (p *plane) run(component string, args ...string) error {
	log, err := os.Create(filepath.Join(p.dir, component+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(p.program, append([]string{component}, args...)...)
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := process.Start(); err != nil {
		return err
	}
	p.processes = append(p.processes, process)
	return nil
}

func (p *plane) ready(url string) error {
	// The certificate was made a moment ago by the server that is asked.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	ctx, cancel := context.WithTimeout(signals(), startLimit)
	defer cancel()
	for {
		request, _ := http.NewRequest("GET", url, nil)
		request.Header.Set("Authorization", "Bearer "+token)
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server was not ready after %s; see %s", startLimit, p.dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
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

// token of the one administrator; the server listens on loopback for one run.
const token = "axon-test-administrator"

func writeFiles(dir string, client, peer, secure int) error {
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
`, dir, client, peer),
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%[2]d", certificate-authority: %[1]s/certs/apiserver.crt}}]
users: [{name: test, user: {token: %[3]s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, dir, secure, token),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
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
