# The scenes of the demonstration, in the order in which e2e/demo plays them. Each may be played again.

# Sets a password for each person who has none: argon2id in a Secret of Berth's namespace, the password in a file of the
# person's own. Nothing secret is an argument of a program.
scene_people() {
    title "People, with passwords of their own (Berth keeps their argon2id hashes)"
    local person
    for person in "$@"; do
        mkdir -p "$people/$person"
        [ -s "$people/$person/password" ] || (umask 077; head -c 18 /dev/urandom | base64 >"$people/$person/password")
        tr -d '\n' <"$people/$person/password" |
            in_cluster kubectl -n berth-system exec -i deployment/berth-access -- berth password-hash |
            in_cluster kubectl -n berth-system create secret generic "$person-password" --from-file=passwordHash=/dev/stdin --dry-run=client -o yaml |
            in_cluster kubectl apply -f - >/dev/null
        in_cluster env DOCKER_CONFIG="$people/$person" crane auth login "$host" --username "$person" --password-stdin <"$people/$person/password" 2>/dev/null
        echo "$person: Secret $person-password; logged in to $host"
    done
}

# Undoes manual changes, so that the demonstration can be played again.
put_back() {
    local project repositories users
    for project in genomics pipelines; do
        in_cluster kubectl get project "$project" >/dev/null 2>&1 || continue
        [ -z "$(in_cluster kubectl get project "$project" -o 'jsonpath={.metadata.deletionTimestamp}')" ] ||
            fail "project $project is being deleted and keeps its images until then: take the cluster down (make cluster-down) and run make demo again"
        in_cluster kubectl patch project "$project" --type=merge -p '{"spec":{"trashed":false,"suspend":false}}' >/dev/null
        mapfile -t repositories < <(in_cluster kubectl -n "berth-$project" get dockerrepositories -o name)
        [ "${#repositories[@]}" = 0 ] ||
            in_cluster kubectl -n "berth-$project" patch "${repositories[@]}" --type=merge -p '{"spec":{"trashed":false,"localSharing":null}}' >/dev/null
    done
    # A manual change may have certified these two.
    in_cluster kubectl get certifications -o 'jsonpath={range .items[*]}{.spec.subject.name} {.metadata.name}{"\n"}{end}' |
        awk '($1 == "newcomer" || $1 == "visitor") && $2 != "visitor-2025" {print $2}' |
        in_cluster xargs --no-run-if-empty kubectl delete certification >/dev/null
    mapfile -t users < <(in_cluster kubectl get registryusers -o name)
    [ "${#users[@]}" = 0 ] || in_cluster kubectl patch "${users[@]}" --type=merge -p '{"spec":{"disabled":false}}' >/dev/null
}

scene_projects() {
    title "Two Projects, each with a registry and a namespace of its own; and two namespaces that agree to get pull secrets"
    typed "kubectl apply -f docs/examples/genomics.yaml -f docs/examples/team.yaml -f docs/examples/expired-certification.yaml"
    typed "kubectl apply -f docs/examples/pull-secret.yaml -f docs/examples/serviceaccount.yaml"
    typed "kubectl apply -f docs/examples/pipelines.yaml"
    put_back
    typed "kubectl wait --for=condition=Ready project/genomics project/pipelines --timeout=120s"
}

scene_push_and_pull() {
    title "The curator may edit and is certified: a push. The analyst has Download: a pull by digest"
    allowed curator "crane push $images/hello.tar $host/genomics/hello:v1"
    local digest
    digest=$(cat "$work/out")
    allowed analyst "crane pull $digest /dev/null"
    echo "pulled $digest"
    refused analyst "crane push $images/hello.tar $host/genomics/hello:v2" "analyst has Download on genomics/hello, and push needs Edit"
}

scene_why() {
    title "The newcomer may edit and is not certified: the client says why, and kubectl berth why says the same"
    refused newcomer "crane push $images/hello.tar $host/genomics/hello:v2" "newcomer may edit genomics/hello but is not certified to push"
    explained newcomer push genomics/hello:v2
}

scene_expired_certification() {
    title "The visitor's certification is over since the end of 2025: the refusal names the date; pulls go on"
    refused visitor "crane push $images/hello.tar $host/pipelines/aligner:v2" "2025-12-31"
    explained visitor push pipelines/aligner:v2 2025-12-31
    allowed visitor "crane digest $host/pipelines/aligner:v1"
}

scene_team() {
    title "Teams: pipeline-authors has Edit and pushes, pipeline-users has Download and pulls; the Project names no user"
    allowed author "crane push $images/hello.tar $host/pipelines/aligner:v1"
    allowed author "crane push $images/hello.tar $host/pipelines/hello:v1"
    allowed analyst "crane digest $host/pipelines/aligner:v1"
    refused analyst "crane push $images/hello.tar $host/pipelines/aligner:v2" "analyst has Download on pipelines/aligner, and push needs Edit"
    typed "kubectl berth who-can push pipelines/aligner"
}

scene_local_sharing() {
    title "Local sharing replaces the project's: in pipelines/aligner the reviewer gains, and the author loses"
    allowed author "crane digest $host/pipelines/aligner:v1"
    typed "kubectl apply --server-side --force-conflicts -f docs/examples/local-sharing.yaml"
    typed "kubectl wait --for=condition=Ready dockerrepository/aligner --namespace=berth-pipelines --timeout=60s"
    typed "kubectl get accesspolicy aligner --namespace=berth-pipelines"
    allowed reviewer "crane digest $host/pipelines/aligner:v1"
    refused author "crane digest $host/pipelines/aligner:v1" "pipelines/aligner does not exist or is not shared with author"
    note "without it, the project's sharing holds again"
    typed "kubectl patch dockerrepository aligner -n berth-pipelines --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/localSharing\"}]'"
    allowed author "crane digest $host/pipelines/aligner:v1"
}

scene_pull_secret() {
    title "A Pod pulls by a robot's pull secret, which Berth made in its namespace: the Pod names no secret"
    typed "kubectl wait --for=condition=PullSecretsServed project/pipelines --timeout=60s"
    in_cluster kubectl -n analysis delete pod hello --ignore-not-found --now >/dev/null 2>&1
    typed "kubectl -n analysis run hello --image=$host/pipelines/hello:v1 --image-pull-policy=Always --restart=Never"
    typed "kubectl -n analysis wait --for=condition=Ready pod/hello --timeout=60s"
    typed "kubectl -n analysis get pod hello -o custom-columns=POD:.metadata.name,PHASE:.status.phase,PULLED-WITH:.spec.imagePullSecrets[*].name"
    typed "kubectl get project pipelines -o custom-columns=NAMESPACES:.status.pullSecrets[*].namespace,PULL-SECRETS:.status.pullSecrets[*].reason"
}

scene_serviceaccount() {
    title "A Pod pushes as its ServiceAccount, builders/ci: shared with, certified, and no stored secret"
    note "an image for CI: crane on top of a shell"
    tar -C "$(dirname "$(readlink -f "${BERTH_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/berth/tools}/bin/crane")")" --transform 's,^,usr/local/bin/,' -cf "$work/crane.tar" crane
    allowed author "crane push $images/base-shell.tar $host/pipelines/builder:shell"
    allowed author "crane append --base=$host/pipelines/builder:shell --new_layer=$work/crane.tar --new_tag=$host/pipelines/builder:v1"
    note "it trusts the registry by Berth's own authority, and runs as docs/examples/serviceaccount-push.yaml says"
    in_cluster kubectl -n builders delete job push --ignore-not-found >/dev/null
    typed "kubectl -n berth-system get configmap berth-ca -o jsonpath='{.data.ca\\.crt}' \\
    | kubectl -n builders create configmap berth-ca --from-file=ca.crt=/dev/stdin --dry-run=client -o yaml \\
    | kubectl apply -f -"
    typed "sed 's/registry.example.org/$host/' docs/examples/serviceaccount-push.yaml | kubectl apply -f -"
    in_cluster kubectl -n builders wait --for=condition=Complete job/push --timeout=90s >/dev/null ||
        fail "the Pod did not push: $(in_cluster kubectl -n builders logs job/push 2>&1 | tail -n 3)"
    typed "kubectl -n builders logs job/push | tail -n 1"
    typed "kubectl -n berth-pipelines get dockerrepository from-ci -o jsonpath='{.status.lastPush.tag} pushed by {.status.lastPush.by}{\"\\n\"}'"
}

scene_token() {
    title "An access token logs in under any user name; once it is revoked, the next push says so"
    in_cluster kubectl delete accesstoken laptop --ignore-not-found >/dev/null
    mkdir -p "$people/laptop"
    tries=1 allowed laptop "kubectl berth token create laptop --owner author --scope download --scope modify --expires-in 720h \\
    | crane auth login $host --username anything --password-stdin"
    allowed laptop "crane push $images/hello.tar $host/pipelines/hello:v2"
    typed "kubectl berth token list"
    typed "kubectl berth token revoke laptop"
    refused laptop "crane push $images/hello.tar $host/pipelines/hello:v3" "This login is no longer valid"
}

scene_what_is_known() {
    title "What the cluster knows"
    typed "kubectl get projects"
    typed "kubectl get dockerrepositories --all-namespaces"
}
