// Shopify's Admin GraphQL API on 127.0.0.1.   node server.js PORT
//
// The schema is Shopify's own, of each version that the package has: what is no query of it is refused by graphql-js. Behaviour is ours, as
// strict as Shopify documents it: tokens with scopes (ACCESS_DENIED), protected customer data, 60 days of orders without read_all_orders, the
// search syntax with the fields that the schema's own text lists, cursors, userErrors, and a bucket of points that throttles. A field that no
// resolver knows is an error: nothing is mocked. Every request is kept: GET /_test/state shows them with the customers.
'use strict';
const fs = require('fs'), http = require('http'), path = require('path'), zlib = require('zlib');
const HOME = process.env.SHOPIFY_HOME;
const g = require(require.resolve('graphql', { paths: [HOME] }));
const { search, SearchError } = require('./search.js');
const { requested, Bucket, MOST } = require('./cost.js');
const db = require('./data.js').shop();
const port = Number(process.argv[2]);

const files = fs.readdirSync(path.join(HOME, 'schemas')).map((f) => /^admin_(\d{4}-\d{2})\.json\.gz$/.exec(f)?.[1]).filter(Boolean).sort();
const schemas = {};
const schemaOf = (version) => {
  if (!schemas[version]) {
    const text = JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(HOME, 'schemas', `admin_${version}.json.gz`))));
    schemas[version] = g.buildClientSchema(text.data || text);
  }
  return schemas[version];
};

const ALL = ['read_orders', 'read_all_orders', 'read_products', 'read_inventory', 'read_locations', 'read_customers', 'write_customers'];
const without = (...less) => ALL.filter((s) => !less.includes(s));
// What each token may; fixtures, not secrets.
const tokens = {
  shpat_whole: { scopes: ALL, approved: true, bucket: new Bucket(100000, 1000) },
  shpat_stock: { scopes: ['read_products', 'read_inventory', 'read_locations'], approved: true, bucket: new Bucket(100000, 1000) },
  shpat_recent: { scopes: without('read_all_orders', 'write_customers'), approved: true, bucket: new Bucket(100000, 1000) },
  shpat_unapproved: { scopes: ALL, approved: false, bucket: new Bucket(100000, 1000) },
  // Pays for one question about stock; the next one has to wait for long.
  shpat_poor: { scopes: ALL, approved: true, bucket: new Bucket(700, 0.5) },
};
const requests = [];

const denied = (what, scope) => new g.GraphQLError(`Access denied for ${what} field. Required access: \`${scope}\` access scope.`, {
  extensions: { code: 'ACCESS_DENIED', documentation: 'https://shopify.dev/api/usage/access-scopes', requiredAccess: `\`${scope}\` access scope.` } });
const unapproved = (what) => new g.GraphQLError(`This app is not approved to access the ${what}. See https://shopify.dev/docs/apps/launch/protected-customer-data for more details.`, {
  extensions: { code: 'ACCESS_DENIED', documentation: 'https://shopify.dev/docs/apps/launch/protected-customer-data' } });
const invalid = (message) => new g.GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } });

/** Search fields, as the text of the argument `query` lists them. */
const documented = (info) => {
  const text = info.parentType.getFields()[info.fieldName].args.find((a) => a.name === 'query').description;
  return [...text.matchAll(/^\s*\|\s*([a-z_0-9]+)\s*\|/gm)].map((m) => m[1]).filter((f) => !['name', 'default'].includes(f) || /^\s*\|\s*name\s*\|\s*string/m.test(text));
};

/** A page of a list, by real cursors: what they stand for is checked. */
function page(all, args, kind) {
  if (args.first === undefined && args.last === undefined) throw invalid('you must provide one of first or last');
  if (args.last !== undefined || args.before !== undefined) throw new Error('this server pages forward only');
  if (args.first < 0 || args.first > 250) throw invalid(`first must be between 0 and 250: ${args.first}`);
  const cursor = (at) => Buffer.from(JSON.stringify({ kind, at })).toString('base64url');
  let from = 0;
  if (args.after !== undefined && args.after !== null) {
    let read;
    try { read = JSON.parse(Buffer.from(args.after, 'base64url').toString()); } catch { throw invalid('Invalid cursor for current pagination sort.'); }
    if (read.kind !== kind || !(read.at >= 0 && read.at < all.length)) throw invalid('Invalid cursor for current pagination sort.');
    from = read.at + 1;
  }
  const nodes = all.slice(from, from + args.first);
  const last = from + nodes.length - 1;
  return { nodes, edges: nodes.map((node, n) => ({ node, cursor: cursor(from + n) })),
    pageInfo: { hasNextPage: last + 1 < all.length, hasPreviousPage: from > 0, startCursor: nodes.length ? cursor(from) : null, endCursor: nodes.length ? cursor(last) : null } };
}

const short = (id) => String(id).split('/').pop();
const kept = (list, args, info, fields, whole) => list.filter(search(args.query ?? '', documented(info), fields, whole));
const sorted = (list, args, keys) => {
  const key = keys[args.sortKey];
  if (key === undefined) throw new Error(`this server does not sort by ${args.sortKey}`);
  const out = key ? [...list].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)) : [...list];
  return args.reverse ? out.reverse() : out;
};
const isSeen = (order, who) => who.scopes.includes('read_all_orders') || Date.parse(order.processedAt) > Date.now() - 60 * 86400000;
const variantsOf = (product) => db.variants.filter((v) => v.product === product);
const productFields = {
  status: (p) => [p.status], product_type: (p) => [p.productType], tag: (p) => p.tags, vendor: (p) => [p.vendor], title: (p) => p.title.split(/\s+/).concat(p.title),
  collection_id: (p) => p.collectionIds.map(short), sku: (p) => variantsOf(p).map((v) => v.sku),
};
const total = (order) => order.lines.reduce((sum, l) => sum + l.price * l.currentQuantity, 0);
const person = (field) => (record, _, { who }) => { if (!who.approved) throw unapproved(`${record.__typename} object`); return record[field]; };
const constant = (name) => (record) => record[name];
const plain = (...names) => Object.fromEntries(names.map((name) => [name, constant(name)]));

const resolvers = {
  QueryRoot: {
    shop: () => ({ name: 'Muster shop', currencyCode: 'EUR', orderNumberFormatPrefix: '#', orderNumberFormatSuffix: '', taxesIncluded: true }),
    currentAppInstallation: (_, __, { who }) => ({ accessScopes: who.scopes.map((handle) => ({ handle })) }),
    publicApiVersions: () => [...files.map((handle) => ({ handle, supported: handle !== '2025-10' })), { handle: 'unstable', supported: false }],
    orders(_, args, { who, needs }, info) {
      needs('orders', 'read_orders');
      const seen = db.orders.filter((o) => isSeen(o, who));
      const found = kept(seen, args, info, {
        // With and without the sign before it, as Shopify's index has it.
        name: (o) => [o.name, o.name.replace(/^#/, '')], confirmation_number: (o) => [o.confirmationNumber], po_number: (o) => [o.poNumber],
        customer_id: (o) => [o.customer && short(o.customer.id)], email: (o) => [o.email], sku: (o) => o.lines.map((l) => l.sku),
      }, (o) => [o.name, o.email]);
      return page(sorted(found, args, { PROCESSED_AT: (o) => o.processedAt, ID: (o) => Number(short(o.id)) }), args, 'orders');
    },
    order(_, { id }, { who, needs }) { needs('order', 'read_orders'); return db.orders.find((o) => o.id === id && isSeen(o, who)) ?? null; },
    productVariants(_, args, { needs }, info) {
      needs('productVariants', 'read_products');
      const found = kept(db.variants, args, info, { sku: (v) => [v.sku], product_type: (v) => [v.product.productType], tag: (v) => v.product.tags }, (v) => [v.sku, v.product.title]);
      return page(sorted(found, args, { ID: (v) => Number(short(v.id)) }), args, 'variants');
    },
    products(_, args, { needs }, info) {
      needs('products', 'read_products');
      const found = kept(db.products, args, info, productFields, (p) => [p.title, p.description, p.vendor, p.productType, ...p.tags]);
      return page(sorted(found, args, { RELEVANCE: null, ID: (p) => Number(short(p.id)) }), args, 'products');
    },
    inventoryItem(_, { id }, { needs }) { needs('inventoryItem', 'read_inventory'); const v = db.variants.find((x) => short(x.id) === short(id)); return v ? { __typename: 'InventoryItem', variant: v } : null; },
    customerByIdentifier(_, { identifier }, { who, needs }) {
      needs('customerByIdentifier', 'read_customers');
      if (!who.approved) throw unapproved('Customer object');
      const same = (a, b) => a !== null && a !== undefined && String(a).toLowerCase() === String(b).toLowerCase();
      if (identifier.phoneNumber !== undefined && !/^\+[1-9]\d{6,14}$/.test(identifier.phoneNumber)) throw invalid('phoneNumber is invalid: it must be in E.164 format');
      const [[key, value]] = Object.entries(identifier);
      const field = { emailAddress: 'email', phoneNumber: 'phone', id: 'id' }[key];
      if (!field) throw new Error(`this server does not know the identifier ${key}`);
      return db.customers.find((c) => same(c[field], value)) ?? null;
    },
  },
  Mutation: {
    customerCreate(_, { input }, { who, needs }) {
      needs('customerCreate', 'write_customers');
      if (!who.approved) throw unapproved('Customer object');
      const userErrors = [];
      const wrong = (field, message) => userErrors.push({ field, message });
      const unknown = Object.keys(input).filter((k) => !['email', 'phone', 'firstName', 'lastName', 'note'].includes(k));
      if (unknown.length) throw new Error(`this server does not know the input ${unknown}`);
      if (!['email', 'phone', 'firstName', 'lastName'].some((k) => input[k])) wrong(null, 'A name, phone number, or email address must be present');
      if (input.email && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(input.email)) wrong(['email'], 'Email is invalid');
      // Numbers of these countries exist.
      if (input.phone && !/^\+(1|43|44|49|81)\d{6,12}$/.test(input.phone)) wrong(['phone'], 'Phone is invalid');
      const taken = (key) => input[key] && db.customers.some((c) => c[key] && c[key].toLowerCase() === input[key].toLowerCase());
      if (taken('email')) wrong(['email'], 'Email has already been taken');
      if (taken('phone')) wrong(['phone'], 'Phone has already been taken');
      if (userErrors.length) return { customer: null, userErrors };
      const text = (key) => input[key] ?? null;
      const made = { __typename: 'Customer', id: db.gid('Customer', 8000 + db.customers.length), firstName: text('firstName'), lastName: text('lastName'),
        email: input.email ? input.email.toLowerCase() : null, phone: text('phone'), company: null, note: text('note') };
      db.customers.push(made);
      return { customer: made, userErrors };
    },
  },
  Shop: plain('name', 'currencyCode', 'orderNumberFormatPrefix', 'orderNumberFormatSuffix', 'taxesIncluded'),
  AppInstallation: plain('accessScopes'), AccessScope: plain('handle'), ApiVersion: plain('handle', 'supported'),
  CustomerCreatePayload: plain('customer', 'userErrors'), UserError: plain('field', 'message'),
  PageInfo: plain('hasNextPage', 'hasPreviousPage', 'startCursor', 'endCursor'),
  Order: {
    ...plain('id', 'name', 'confirmationNumber', 'poNumber', 'processedAt', 'createdAt', 'cancelledAt', 'displayFinancialStatus', 'displayFulfillmentStatus', 'returnStatus'),
    email: person('email'), phone: person('phone'), shippingAddress: person('shippingAddress'), billingAddress: person('billingAddress'),
    customer: (o, a, context) => { context.needs('customer', 'read_customers'); return person('customer')(o, a, context); },
    currentTotalPriceSet: (o) => db.money(total(o), o.currency, o.rate),
    fulfillments: (o, { first }) => o.fulfillments.slice(0, first ?? undefined),
    lineItems: (o, args) => page(o.lines.map((line) => ({ ...line, currency: o.currency, rate: o.rate })), args, `lines of ${o.id}`),
  },
  LineItem: { ...plain('id', 'name', 'sku', 'quantity', 'currentQuantity', 'unfulfilledQuantity'), discountedTotalSet: (l) => db.money(l.price * l.quantity, l.currency, l.rate) },
  MoneyBag: plain('shopMoney', 'presentmentMoney'), MoneyV2: plain('amount', 'currencyCode'), MailingAddress: plain('zip', 'phone', 'company'),
  Fulfillment: {
    ...plain('status', 'displayStatus', 'createdAt', 'estimatedDeliveryAt'),
    trackingInfo: (f, { first }) => f.trackingInfo.slice(0, first ?? undefined),
    events: (f, args) => page(sorted(f.events, args, { HAPPENED_AT: (e) => e.happenedAt }), args, 'events'),
  },
  FulfillmentTrackingInfo: plain('company', 'number', 'url'), FulfillmentEvent: plain('happenedAt', 'status', 'message', 'city', 'country'),
  ProductVariant: {
    ...plain('id', 'sku', 'title', 'price', 'inventoryPolicy', 'product', 'selectedOptions'),
    availableForSale: (v) => v.product.status === 'ACTIVE' && (!v.tracked || v.inventoryPolicy === 'CONTINUE' || Object.values(v.levels).some((l) => l.isActive && l.available > 0)),
    inventoryItem: (variant) => ({ __typename: 'InventoryItem', variant }),
  },
  SelectedOption: plain('name', 'value'),
  Product: {
    ...plain('id', 'title', 'status', 'vendor', 'productType', 'tags', 'onlineStoreUrl', 'featuredMedia'),
    description: (p, { truncateAt }) => p.description.slice(0, truncateAt ?? undefined),
    collections: (p, args) => page(db.collections.filter((c) => p.collectionIds.includes(c.id)), args, 'collections'),
    variants: (p, args) => page(variantsOf(p), args, 'variants of a product'),
  },
  Collection: plain('id', 'title'), MediaImage: plain('preview'), MediaPreviewImage: plain('image'), Image: plain('url'),
  InventoryItem: {
    id: ({ variant }) => db.gid('InventoryItem', short(variant.id)), tracked: ({ variant }) => variant.tracked,
    inventoryLevels({ variant }, args, { needs }) {
      needs('inventoryLevels', 'read_inventory');
      const levels = Object.entries(variant.levels).map(([id, level]) => ({ ...level, location: db.locations.find((l) => short(l.id) === id) }));
      return page(levels.filter((l) => args.includeInactive || l.isActive), args, `levels of ${variant.id}`);
    },
  },
  InventoryLevel: {
    ...plain('isActive'),
    location: (l, _, { needs }) => { needs('location', 'read_locations'); return l.location; },
    quantities: (l, { names }) => names.map((name) => {
      const quantity = { available: l.available, on_hand: l.onHand, committed: l.onHand - l.available }[name];
      if (quantity === undefined) throw invalid(`The quantity name ${name} is invalid.`);
      return { name, quantity };
    }),
  },
  InventoryQuantity: plain('name', 'quantity'), Location: plain('id', 'name', 'isActive'),
  Customer: {
    ...plain('id', 'firstName', 'lastName'),
    displayName: (c) => [c.firstName, c.lastName].filter(Boolean).join(' ') || c.email || c.phone,
    defaultEmailAddress: (c) => (c.email ? { emailAddress: c.email } : null), defaultPhoneNumber: (c) => (c.phone ? { phoneNumber: c.phone } : null),
    defaultAddress: (c) => (c.company ? { company: c.company, phone: null } : null),
  },
  CustomerEmailAddress: plain('emailAddress'), CustomerPhoneNumber: plain('phoneNumber'),
};

function fieldResolver(source, args, context, info) {
  const type = info.parentType.name;
  if (/(Connection|Edge)$/.test(type) && ['nodes', 'edges', 'pageInfo', 'node', 'cursor'].includes(info.fieldName)) return source[info.fieldName];
  const resolver = resolvers[type]?.[info.fieldName];
  if (!resolver) throw new Error(`this server has no resolver for ${type}.${info.fieldName}`);
  return resolver(source, args, context, info);
}

async function answer(version, who, body) {
  const schema = schemaOf(version);
  const bad = (errors) => ({ errors: errors.map((e) => ({ message: e.message, locations: e.locations, path: ['query'], extensions: { code: 'undefinedField', ...e.extensions } })) });
  let document;
  try { document = g.parse(body.query); } catch (e) { return bad([e]); }
  const faults = g.validate(schema, document);
  if (faults.length) return bad(faults);
  const cost = requested(schema, document, body.operationName, body.variables);
  const costs = (actualQueryCost) => ({ cost: { requestedQueryCost: cost, actualQueryCost, throttleStatus: who.bucket.status() } });
  if (cost > MOST) {
    return { errors: [{ message: `Query cost is ${cost}, which exceeds the single query max cost limit (${MOST}).`, extensions: { code: 'MAX_COST_EXCEEDED', cost, maxCost: MOST } }] };
  }
  if (!who.bucket.take(cost)) {
    return { errors: [{ message: 'Throttled', extensions: { code: 'THROTTLED', documentation: 'https://shopify.dev/api/usage/rate-limits' } }], extensions: costs(null) };
  }
  const needs = (what, scope) => {
    const may = who.scopes.includes(scope) || (scope.startsWith('read_') && who.scopes.includes(scope.replace('read_', 'write_')));
    if (!may) throw denied(what, scope);
  };
  const result = await g.execute({ schema, document, variableValues: body.variables, operationName: body.operationName, contextValue: { who, needs },
    fieldResolver, typeResolver: (value) => value.__typename });
  if (result.errors) for (const e of result.errors) if (e.originalError instanceof SearchError) e.extensions.code = 'BAD_REQUEST';
  return { ...JSON.parse(JSON.stringify(result)), extensions: costs(cost) };
}

http.createServer((request, response) => {
  const send = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'x-request-id': `req-${requests.length}`, ...headers });
    response.end(JSON.stringify(body));
  };
  let text = '';
  request.on('data', (d) => { text += d; }).on('end', async () => {
    if (request.method === 'GET' && request.url === '/_test/state') {
      return send(200, { customers: db.customers, orders: db.orders.map(({ name, displayFinancialStatus }) => ({ name, displayFinancialStatus })), requests });
    }
    let body;
    if (request.method === 'POST' && request.url === '/admin/oauth/access_token') {
      try { body = JSON.parse(text); } catch { body = Object.fromEntries(new URLSearchParams(text)); }
      const { client_id: id, client_secret: secret, grant_type: grant } = body;
      if (grant !== 'client_credentials') return send(400, { error: 'unsupported_grant_type' });
      if (id !== 'client-1' || secret !== 'shpss_test') return send(400, { error: 'application_cannot_be_found' });
      const token = `shpat_issued_${requests.length}`;
      tokens[token] = { scopes: ALL, approved: true, bucket: new Bucket(2000, 100) };
      return send(200, { access_token: token, scope: ALL.join(','), expires_in: 86399 });
    }
    const version = /^\/admin\/api\/(\d{4}-\d{2})\/graphql\.json$/.exec(request.url)?.[1];
    if (!version || !files.includes(version)) return send(404, { errors: 'Not Found' });
    if (request.method !== 'POST') return send(405, { errors: 'Method Not Allowed' });
    const who = tokens[request.headers['x-shopify-access-token']];
    if (!who) return send(401, { errors: '[API] Invalid API key or access token (unrecognized login or wrong password)' });
    if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) return send(415, { errors: 'Unsupported Media Type' });
    try { body = JSON.parse(text); } catch { return send(400, { errors: { query: 'Required parameter missing or invalid' } }); }
    if (typeof body.query !== 'string') return send(400, { errors: { query: 'Required parameter missing or invalid' } });
    try {
      const out = await answer(version, who, body);
      requests.push({ variables: body.variables ?? null, errors: out.errors ?? null, cost: out.extensions?.cost?.requestedQueryCost ?? null });
      send(200, out, { 'x-shopify-api-version': version });
    } catch (e) {
      console.error(e);
      send(500, { errors: 'Internal Server Error' });
    }
  });
}).listen(port, '127.0.0.1', () => { schemaOf(files[files.length - 1]); console.log(`listening on ${port}, versions ${files.join(' ')}`); });
