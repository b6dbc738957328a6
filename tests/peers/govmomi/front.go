package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	restSession    = "/rest/com/vmware/cis/session"
	largestRequest = 4 << 20
)

// rule is the trouble to make with the next Times requests; the words are those of the tests' Trouble.
type rule struct {
	Trouble string
	Seconds float64
	Times   int
	Fault   string // its type in the API, such as NotSupported
}

// front stands before the simulator: it counts requests, and makes trouble with them.
type front struct {
	inner          http.Handler
	user, password string
	calls, acts    counts // requests that came, and those that the simulator was given
	nmis           counts
	lock           sync.Mutex
	rules          map[string]*rule
}

// ServeHTTP is called for every request but those of control.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	if r.URL.Path == restSession && r.Method == http.MethodPost && !f.mayLogIn(r) {
		f.calls.add("refused " + key)
		w.WriteHeader(http.StatusUnauthorized) // the simulator takes every name and password
		return
	}
	if r.Method == http.MethodPost && r.URL.Path == "/sdk" {
		body, err := io.ReadAll(io.LimitReader(r.Body, largestRequest))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if call, err := simulator.UnmarshalBody(types.TypeFunc(), body); err == nil {
			key = call.Name
		}
		if key == "SendNMI" {
			body = lead(body)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
	}
	f.calls.add(key)
	if rule := f.ruleFor(key); rule != nil {
		f.misbehave(rule, key, w, r)
		return
	}
	f.act(key, w, r)
}

func (f *front) mayLogIn(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	return given && user == f.user && password == f.password
}

func (f *front) ruleFor(key string) *rule {
	f.lock.Lock()
	defer f.lock.Unlock()
	found := f.rules[key]
	if found == nil || found.Times == 0 {
		return nil
	}
	found.Times--
	return found
}

func (f *front) act(key string, w http.ResponseWriter, r *http.Request) {
	f.acts.add(key)
	f.inner.ServeHTTP(w, r)
}

func (f *front) misbehave(rule *rule, key string, w http.ResponseWriter, r *http.Request) {
	switch rule.Trouble {
	case "close the connection without acting":
		panic(http.ErrAbortHandler)
	case "never answer, without acting":
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "answer with a fault, without acting":
		writeFault(w, rule.Fault)
		return
	}
	answer := httptest.NewRecorder()
	f.act(key, answer, r)
	switch rule.Trouble {
	case "act, and close the connection":
		panic(http.ErrAbortHandler)
	case "act, and never answer":
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "act, and answer after some seconds":
		time.Sleep(time.Duration(rule.Seconds * float64(time.Second)))
	case "act, and answer with a fault":
		writeFault(w, rule.Fault)
		return
	case "act, and answer nonsense":
		answer.Body = bytes.NewBufferString("\x00]]> this is no SOAP")
	case "act, and answer with HTTP 503":
		answer.Code, answer.Body = http.StatusServiceUnavailable, new(bytes.Buffer)
	default:
		panic("there is no trouble " + rule.Trouble)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func writeFault(w http.ResponseWriter, fault string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>
<faultcode>ServerFaultCode</faultcode><faultstring>made by a rule</faultstring>
<detail><%sFault xmlns="urn:vim25" xsi:type="%s"/></detail>
</soapenv:Fault></soapenv:Body></soapenv:Envelope>`, fault, fault)
}

// control is where a test sets rules (PUT /rules) and reads what has arrived (GET /seen).
func (f *front) control(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, "/") {
	case "rules":
		rules := map[string]*rule{}
		if err := json.NewDecoder(r.Body).Decode(&rules); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.lock.Lock()
		defer f.lock.Unlock()
		f.rules = rules
	case "seen":
		_ = json.NewEncoder(w).Encode(map[string]map[string]int{
			"calls": f.calls.copy(), "acts": f.acts.copy(), "nmis": f.nmis.copy(), "snapshots": snapshots(),
		})
	default:
		http.NotFound(w, r)
	}
}
