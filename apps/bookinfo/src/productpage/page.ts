/** What the page shows of another service: its JSON, or that it failed. */
type Part = { ok: true; body: unknown } | { ok: false }

export interface Product {
  id: number
  title: string
  descriptionHtml: string
}

export interface ProductPage {
  product: Product
  details: Part
  reviews: Part
  /** Who is signed in; empty for nobody. */
  user: string
}

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c2430;background:#f6f7f9}
header{display:flex;justify-content:space-between;align-items:center;background:#1c2430;color:#fff;padding:.6rem 1.5rem}
header a{color:#fff}main{max-width:60rem;margin:1.5rem auto;padding:0 1.5rem}section{display:grid;gap:1.5rem;grid-template-columns:1fr 1fr}
article{background:#fff;border-radius:.5rem;padding:1rem 1.5rem}blockquote{margin:0 0 1rem;border-left:.25rem solid #ccd;padding-left:1rem}
.stars{font-size:1.3rem;letter-spacing:.1rem}.error{color:#b00020}dt{font-weight:600}dd{margin:0 0 .4rem}form{display:inline}`

/** The HTML of a book's page: title, details, reviews with stars in their colour, and who is signed in. */
export function productPageHtml(page: ProductPage): string {
  return document(
    'Simple Bookstore App',
    page.user,
    `<h1>${escapeHtml(page.product.title)}</h1><p>${page.product.descriptionHtml}</p>
<section><article id="details">${detailsHtml(page.details)}</article><article id="reviews">${reviewsHtml(page.reviews)}</article></section>`,
  )
}

/** The HTML of the front page. */
export function indexHtml(user: string): string {
  return document(
    'Bookinfo Sample',
    user,
    `<h1>Bookinfo</h1><p>A small bookstore of four services: productpage asks details and reviews, and reviews asks ratings.</p>
<ul><li><a href="/productpage">The page of a book</a></li><li><a href="/productpage?u=test">The same, as a test user</a></li>
<li><a href="/api/v1/products">The API</a></li></ul>`,
  )
}

function document(title: string, user: string, body: string): string {
  const account =
    user === ''
      ? '<form action="/login" method="post"><input name="username" placeholder="User name" aria-label="User name" required> <input type="password" name="passwd" placeholder="Password" aria-label="Password"> <button>Sign in</button></form>'
      : `<span>${escapeHtml(user)} (<a href="/logout">sign out</a>)</span>`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title}</title><style>${style}</style></head>
<body><header><a href="/">BookInfo Sample</a>${account}</header><main>${body}</main></body></html>
`
}

function detailsHtml(details: Part): string {
  if (!details.ok || !isRecord(details.body)) {
    return failure('Error fetching product details!', 'Sorry, product details are currently unavailable for this book.')
  }
  const facts = details.body
  const rows = [
    ['Type', 'type'],
    ['Pages', 'pages'],
    ['Publisher', 'publisher'],
    ['Language', 'language'],
    ['ISBN-10', 'ISBN-10'],
    ['ISBN-13', 'ISBN-13'],
  ] as const
  return `<h2>Book Details</h2><dl>${rows.map(([label, key]) => `<dt>${label}</dt><dd>${escapeHtml(facts[key])}</dd>`).join('')}</dl>`
}

function reviewsHtml(reviews: Part): string {
  if (!reviews.ok || !isRecord(reviews.body) || !Array.isArray(reviews.body['reviews'])) {
    return failure('Error fetching product reviews!', 'Sorry, product reviews are currently unavailable for this book.')
  }
  const servedBy = reviews.body['podname'] ? `<p>Reviews served by: ${escapeHtml(reviews.body['podname'])}</p>` : ''
  return `<h2>Book Reviews</h2>${reviews.body['reviews'].filter(isRecord).map(reviewHtml).join('')}${servedBy}`
}

function reviewHtml(review: Record<string, unknown>): string {
  const rating = isRecord(review['rating']) ? ratingHtml(review['rating']) : ''
  return `<blockquote><p>${escapeHtml(review['text'])}</p><small>${escapeHtml(review['reviewer'])}</small>${rating}</blockquote>`
}

function ratingHtml(rating: Record<string, unknown>): string {
  const stars = rating['stars']
  if (typeof stars !== 'number' || !(stars >= 0 && stars <= 5)) {
    return `<p class="error"><em>${escapeHtml(rating['error'] ?? 'Ratings service is currently unavailable')}</em></p>`
  }
  const full = Math.round(stars)
  const color = rating['color'] === 'red' ? 'red' : 'black'
  return `<p class="stars" style="color:${color}" role="img" aria-label="${full} of 5 stars">${'★'.repeat(full)}${'☆'.repeat(5 - full)}</p>`
}

function failure(title: string, text: string): string {
  return `<h2 class="error">${title}</h2><p>${text}</p>`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escapeHtml(value: unknown): string {
  return String(value ?? '').replace(/[&<>"']/g, (character) => entities[character] ?? character)
}
