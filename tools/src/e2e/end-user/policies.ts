import { audience } from './issuer.ts'

const productpage = 'selector: { matchLabels: { app: productpage } }'

/** Whose tokens count at the productpage. */
export function authentication(issuer: string, jwksUri: string): string {
  return `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: bookinfo-users }
spec:
  ${productpage}
  jwtRules:
    - issuer: ${issuer}
      jwksUri: ${jwksUri}
      audiences: ["${audience}"]
`
}

/** The API is for those with a token. */
export const membersOnly = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: members-only }
spec:
  ${productpage}
  action: DENY
  rules:
    - from: [{ source: { notRequestPrincipals: ["*"] } }]
      to: [{ operation: { paths: ["/api/*"] } }]
`

/** Ratings of a product are for staff. */
export const staffOnly = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: staff-only }
spec:
  ${productpage}
  action: DENY
  rules:
    - to: [{ operation: { paths: ["/api/v1/products/{*}/ratings"] } }]
      when: [{ key: "request.auth.claims[groups]", notValues: [staff] }]
`

/** Ratings may be called by one service account. */
export function ratingsFor(serviceAccount: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ratings-callers }
spec:
  selector: { matchLabels: { app: ratings } }
  action: ALLOW
  rules:
    - from: [{ source: { principals: ["cluster.local/ns/default/sa/${serviceAccount}"] } }]
      to: [{ operation: { methods: [GET], paths: ["/ratings/*", /health] } }]
`
}

/** What ratings would refuse, noted and not refused. */
export const dryRun = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: would-refuse, annotations: { istio.io/dry-run: "true" } }
spec:
  selector: { matchLabels: { app: details } }
  action: DENY
  rules: [{}]
`
