package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	// Where Pods, and who asks the kubelet, reach this node: a name of the machine's own, since
	// neither can use its loopback.
	nodeAddress = "10.87.0.1"
	nodeName    = "node1"
	// The API server's Service: in place of kube-proxy, one rule leads there.
	serviceAddress = "10.96.0.1"
	// What the node keeps on disk, below the cluster's directory.
	stateDir = "node"
	// Names the cgroup to put Pods below.
	cgroupVariable = "AXON_NODE_CGROUP"
	containerd     = "/run/containerd/containerd.sock"
)

// Directories that kubelet, containerd and CNI write to: this run has its own.
var private = []string{"/run", "/var/log", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni"}

// node is the part of with-node that runs inside the namespaces.
func node() *cobra.Command {
	var dir string
	var images []string
	command := &cobra.Command{
		Use:          "node --dir DIR [--image ARCHIVE]... COMMAND...",
		SilenceUsage: true,
		Args:         cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return startNode(dir, images, args)
		},
	}
	command.Flags().SetInterspersed(false)
	command.Flags().StringVar(&dir, "dir", "", "directory of the cluster")
	command.Flags().StringArrayVar(&images, "image", nil, "docker archive that the node is to have")
	return command
}

// startNode runs a command on a ready node. Nothing is stopped after it: see sandboxed.
func startNode(dir string, images, args []string) error {
	if err := privateMounts(dir); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	plane, err := newPlane(dir, nodeAddress)
	if err != nil {
		return err
	}
	if err := plane.nodeFiles(); err != nil {
		return err
	}
	if err := plane.run("containerd", "containerd", "--config", plane.at("containerd.toml")); err != nil {
		return err
	}
	imported := make(chan error, 1)
	go func() { imported <- importImages(images) }()
	if err := plane.start(); err != nil {
		return err
	}
	if err := plane.component("kube-scheduler",
		"--kubeconfig="+plane.at("kubeconfig"), "--leader-elect=false", "--secure-port=0"); err != nil {
		return err
	}
	if err := <-imported; err != nil {
		return err
	}
	if err := serviceRule(plane.port); err != nil {
		return err
	}
	if err := plane.component("kubelet",
		"--config="+plane.at("kubelet.yaml"), "--kubeconfig="+plane.at("kubeconfig"),
		"--node-ip="+nodeAddress, "--hostname-override="+nodeName); err != nil {
		return err
	}
	if err := await("the node to be ready", plane.nodeReady); err != nil {
		return err
	}
	return plane.command(args, "AXON_TEST_NODE="+nodeAddress)
}

// privateMounts gives the processes of this namespace their own /proc, and their own place for
// everything that a node writes.
func privateMounts(dir string) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	for _, path := range private {
		own := filepath.Join(dir, stateDir, path)
		if path == "/var/log" {
			own = filepath.Join(dir, "log") // kept when a test failed
		}
		for _, it := range []string{path, own} {
			if err := os.MkdirAll(it, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount(own, path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", path, err)
		}
	}
	return nil
}

// network gives the node an address.
func network() error {
	return runAll(
		"ip link set lo up",
		"ip link add axon-node type veth peer name axon-node-peer",
		"ip addr add "+nodeAddress+"/32 dev axon-node",
		"ip link set axon-node up",
		"ip link set axon-node-peer up")
}

// serviceRule leads who asks for the Service "kubernetes" to the API server.
func serviceRule(port int) error {
	rule := fmt.Sprintf("-d %s -p tcp --dport 443 -j DNAT --to-destination %s:%d", serviceAddress, nodeAddress, port)
	return runAll("iptables -t nat -A PREROUTING "+rule, "iptables -t nat -A OUTPUT "+rule)
}

func importImages(archives []string) error {
	serving := func() bool { return exec.Command("ctr", "--address", containerd, "version").Run() == nil }
	if err := await("containerd to serve", serving); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := runAll("ctr --address " + containerd + " --namespace k8s.io images import " + archive); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs commands whose words have no spaces.
func runAll(commands ...string) error {
	for _, command := range commands {
		words := strings.Fields(command)
		if output, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
	}
	return nil
}

// nodeReady tells whether Pods can be placed on the node.
func (p *plane) nodeReady() bool {
	answer, err := p.get("/api/v1/nodes/" + nodeName)
	var node struct {
		Spec   struct{ Taints []any }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err != nil || json.Unmarshal(answer, &node) != nil || len(node.Spec.Taints) > 0 {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}

func (p *plane) nodeFiles() error {
	if err := os.Mkdir(p.at("cni"), 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"containerd.toml": fmt.Sprintf(`version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # Without CAP_SYS_RESOURCE nothing may be made less likely to be killed than we are.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "%s"
`, p.at("cni")),
		"cni/pods.conflist": `{
  "cniVersion": "0.4.0", "name": "pods",
  "plugins": [{
    "type": "ptp", "ipMasq": false,
    "ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`,
		// No name server is in reach: a look-up is to fail at once.
		"resolv.conf": "",
		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
readOnlyPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
cgroupRoot: %s
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, imagefs.available: 1%%}
imageGCHighThresholdPercent: 100
# Mounted Secrets follow their objects within seconds.
syncFrequency: 5s
configMapAndSecretChangeDetectionStrategy: Watch
resolvConf: %s
volumePluginDir: %s
`, nodeAddress, containerd, os.Getenv(cgroupVariable), p.at("resolv.conf"), p.at("plugins")),
	}
	for name, content := range files {
		if err := os.WriteFile(p.at(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
