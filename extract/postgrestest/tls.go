//go:build unix

package postgrestest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// UseTLS restarts the server with a certificate for the addresses and names
// that hosts has, which ends at a time. It returns the file of the authority
// that has signed it.
func (s *Server) UseTLS(t testing.TB, ends time.Time, hosts ...string) (authority string) {
	t.Helper()
	begins := ends.Add(-24 * time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotBefore: begins, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: begins, NotAfter: ends,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	if err := s.writeCertificates(ca, leaf); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s.Start(t)
	return filepath.Join(s.data(), "ca.crt")
}

func (s *Server) writeCertificates(ca, leaf *x509.Certificate) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caText, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	leafText, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyText, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		s.writePEM("ca.crt", "CERTIFICATE", caText), s.writePEM("server.crt", "CERTIFICATE", leafText), s.writePEM("server.key", "PRIVATE KEY", keyText),
		s.appendSetting("ssl = on"),
	)
}

func (s *Server) writePEM(name, kind string, content []byte) error {
	path := filepath.Join(s.data(), name)
	err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
	return errors.Join(err, giveAway(path))
}

func (s *Server) appendSetting(line string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}
