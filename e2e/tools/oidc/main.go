// An OpenID provider for tests: the example server of a certified library, with JWT access tokens (RFC 9068) that carry
// groups and the granted scopes, at an issuer of one's choice, over TLS where a certificate is given.
//
// PORT (9998), ISSUER (http://localhost:PORT/), TLS_CERT and TLS_KEY (files) in the environment. It knows two people,
// `test-user@localhost` (subject id1, group lab-42) and `test-user2` (id2), and the clients `web`, `api` and `native`.
// Its signing key is a new one each time it starts.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// People may ask for these scopes beside those of OpenID Connect.
const scopePrefix = "registry:"

var groups = map[string][]string{"id1": {"lab-42"}, "id2": {}}

type client struct{ op.Client }

func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (client) IsScopeAllowed(scope string) bool { return strings.HasPrefix(scope, scopePrefix) }

type store struct{ *storage.Storage }

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found}, nil
}

func (s store) GetPrivateClaimsFromScopes(_ context.Context, user, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"groups": groups[user], "scope": strings.Join(scopes, " ")}, nil
}

func main() {
	port := cmp.Or(os.Getenv("PORT"), "9998")
	issuer := cmp.Or(os.Getenv("ISSUER"), "http://localhost:"+port+"/")
	storage.RegisterClients(
		storage.NativeClient("native"), storage.WebClient("web", "secret"), storage.WebClient("api", "secret"),
	)
	people := storage.NewUserStore("http://localhost:" + port + "/")
	handler := exampleop.SetupServer(issuer, store{storage.NewStorage(people)}, nil, false)
	server := &http.Server{Addr: ":" + port, Handler: handler}
	if certificate := os.Getenv("TLS_CERT"); certificate != "" {
		log.Fatal(server.ListenAndServeTLS(certificate, os.Getenv("TLS_KEY")))
	}
	log.Fatal(server.ListenAndServe())
}
