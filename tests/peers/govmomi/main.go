// Command govmomi serves a vCenter, or an ESXi host, of govmomi's simulator on loopback, and what the simulator lacks for our tests:
// SendNMI, FindAllByUuid, a login that is checked on the REST side too, and trouble on demand.
//
// Not a real vCenter. It is somebody else's reading of the API, which shares no code with our other double.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator" // registers /rest
)

func main() {
	address := flag.String("address", "127.0.0.2", "loopback address to listen on")
	certificate := flag.String("certificate", "", "PEM file with the key and the certificate to show")
	user := flag.String("user", "user", "who may log in")
	password := flag.String("password", "pass", "and with which password")
	esxi := flag.Bool("esxi", false, "serve an ESXi host, not a vCenter")
	ready := flag.String("ready", "", "file that is written when it serves: its ports, as JSON")
	flag.Parse()
	if ip := net.ParseIP(*address); ip == nil || !ip.IsLoopback() {
		log.Fatalf("%s is no loopback address", *address)
	}
	shown, err := tls.LoadX509KeyPair(*certificate, *certificate)
	must(err)

	model := simulator.VPX()
	if *esxi {
		model = simulator.ESX()
	}
	defer model.Remove()
	must(model.Create())
	model.Service.Listen = &url.URL{Host: net.JoinHostPort(*address, "0"), User: url.UserPassword(*user, *password)}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{shown}}
	model.Service.RegisterEndpoints = true
	server := model.Service.NewServer()

	front := &front{inner: server.Config.Handler, user: *user, password: *password}
	front.openDoors()
	server.Config.Handler = front // before anybody knows the port
	control, err := net.Listen("tcp", net.JoinHostPort(*address, "0"))
	must(err)
	go func() { must(http.Serve(control, http.HandlerFunc(front.control))) }()
	tell(*ready, map[string]int{"port": port(server.Listener), "control": port(control)})

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

func port(listener net.Listener) int {
	return listener.Addr().(*net.TCPAddr).Port
}

// tell writes the file whole or not at all.
func tell(file string, ports map[string]int) {
	text, err := json.Marshal(ports)
	must(err)
	must(os.WriteFile(file+".part", text, 0o600))
	must(os.Rename(file+".part", file))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
