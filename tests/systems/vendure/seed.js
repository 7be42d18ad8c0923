// Fills an empty Vendure over its own APIs, as a shop's staff and customers would.   node seed.js URL KEYFILE
// Prices include 20 % tax and are in EUR. Orders: WEB-41 shipped, WEB-42 paid, WEB-43 partly delivered, WEB-44 cancelled, WEB-45 a cart.
'use strict';
const fs = require('fs');
const [url, keyFile] = process.argv.slice(2);

async function call(api, session, query, variables = {}) {
  const headers = { 'content-type': 'application/json', ...(session.token ? { authorization: `Bearer ${session.token}` } : {}) };
  const response = await fetch(`${url}/${api}`, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  session.token = response.headers.get('vendure-auth-token') || session.token;
  const { data, errors } = await response.json();
  if (errors) throw new Error(`${query}\n${JSON.stringify(errors)}`);
  for (const [name, result] of Object.entries(data)) {
    if (result && result.errorCode) throw new Error(`${name}: ${JSON.stringify(result)}`);
  }
  return data;
}
const staff = {};
const admin = (query, variables) => call('admin-api', staff, query, variables);
const FAILED = '... on ErrorResult { errorCode message }';

async function settings() {
  await admin(`mutation { login(username: "superadmin", password: "superadmin-pw-1") { __typename ${FAILED} } }`);
  const { activeChannel } = await admin('{ activeChannel { id } }');
  await admin(`mutation($i: UpdateChannelInput!) { updateChannel(input: $i) { __typename ${FAILED} } }`, { i: {
    id: activeChannel.id, pricesIncludeTax: true, defaultCurrencyCode: 'EUR', availableCurrencyCodes: ['EUR'] } });
}

async function articles() {
  const { createFacet } = await admin(`mutation($i: CreateFacetInput!) { createFacet(input: $i) { values { id code } } }`, { i: {
    code: 'kind', isPrivate: false, translations: [{ languageCode: 'en', name: 'Kind' }],
    values: ['machine', 'accessory', 'care'].map((code) => ({ code, translations: [{ languageCode: 'en', name: code }] })) } });
  const facet = Object.fromEntries(createFacet.values.map((v) => [v.code, v.id]));
  const { taxCategories, stockLocations } = await admin('{ taxCategories { items { id } } stockLocations { items { id name } } }');
  const place = { main: stockLocations.items[0].id };
  for (const name of ['Wien', 'Graz']) {
    place[name] = (await admin('mutation($i: CreateStockLocationInput!) { createStockLocation(input: $i) { id } }', { i: { name } })).createStockLocation.id;
  }
  await admin('mutation($i: UpdateStockLocationInput!) { updateStockLocation(input: $i) { id } }', { i: { id: place.main, name: 'Zentrallager' } });

  const sku = {};
  async function article(name, description, kind, variants, enabled = true) {
    const translation = { languageCode: 'en', name, slug: name.toLowerCase().replace(/\W+/g, '-'), description };
    const { createProduct } = await admin('mutation($i: CreateProductInput!) { createProduct(input: $i) { id } }', { i: {
      enabled, facetValueIds: [facet[kind]], translations: [translation] } });
    const groups = variants.length > 1 ? (await admin('mutation($i: CreateProductOptionGroupInput!) { createProductOptionGroup(input: $i) { id options { id } } }', { i: {
      code: `${translation.slug}-size`, translations: [{ languageCode: 'en', name: 'Size' }],
      options: variants.map((v) => ({ code: v.sku.toLowerCase(), translations: [{ languageCode: 'en', name: v.name }] })) } })).createProductOptionGroup : null;
    if (groups) await admin('mutation($p: ID!, $g: ID!) { addOptionGroupToProduct(productId: $p, optionGroupId: $g) { id } }', { p: createProduct.id, g: groups.id });
    const input = variants.map(({ name: variant, stock, ...rest }, at) => ({
      productId: createProduct.id, taxCategoryId: taxCategories.items[0].id, translations: [{ languageCode: 'en', name: variant || name }],
      ...(groups ? { optionIds: [groups.options[at].id] } : {}), trackInventory: 'TRUE',
      stockLevels: Object.entries(stock).map(([where, stockOnHand]) => ({ stockLocationId: place[where], stockOnHand })), ...rest }));
    const made = await admin('mutation($i: [CreateProductVariantInput!]!) { createProductVariants(input: $i) { id sku } }', { i: input });
    for (const v of made.createProductVariants) sku[v.sku] = v.id;
    return createProduct.id;
  }
  await article('Espresso machine', '<p>Dual boiler &amp; <b>steam wand</b>.</p>', 'machine', [{ sku: 'SKU-1001', price: 34900, stock: { main: 8 } }]);
  await article('Milk frother', 'Stainless steel', 'accessory', [{ sku: 'SKU-1002', price: 3990, stock: { main: 121, Wien: 5, Graz: 0 } }]);
  await article('Descaler', '1 l', 'care', [{ sku: 'SKU-1003', price: 1250, stock: { main: 0 } }]);
  await article('Kaffeemühle Grün', 'Kegelmahlwerk, 40 Stufen', 'machine', [{ sku: 'SKU-1004', price: 12990, stock: { main: 3 }, useGlobalOutOfStockThreshold: false, outOfStockThreshold: 1 }]);
  await article('Barista course', 'Two hours', 'accessory', [{ sku: 'SKU-1005', price: 9900, stock: {}, trackInventory: 'FALSE' }]);
  await article('Old kettle', 'No longer sold', 'machine', [{ sku: 'SKU-1006', price: 1990, stock: { main: 4 } }], false);
  const gone = await article('Recalled grinder', 'Recalled', 'machine', [{ sku: 'SKU-1007', price: 1990, stock: { main: 4 } }]);
  await admin('mutation($p: ID!) { deleteProduct(id: $p) { result } }', { p: gone });
  await article('Filter paper', '100 sheets', 'accessory', [
    { sku: 'SKU-1008-S', name: 'Filter paper small', price: 390, stock: { main: 40 } },
    { sku: 'SKU-1008-L', name: 'Filter paper large', price: 490, stock: { main: 40 }, enabled: false }]);
  await article("Barista's 100% set", 'Tamper and jug', 'accessory', [{ sku: "SET-'09_%", price: 5900, stock: { main: 2 } }]);
  await admin('mutation($i: CreateCollectionInput!) { createCollection(input: $i) { id } }', { i: {
    translations: [{ languageCode: 'en', name: 'Machines', slug: 'machines', description: '' }],
    filters: [{ code: 'facet-value-filter', arguments: [{ name: 'facetValueIds', value: JSON.stringify([facet.machine]) }, { name: 'containsAny', value: 'false' }] }] } });
  return sku;
}

/** An order as a customer makes it in the shop; `paid` or left as a cart. */
async function order(customer, address, lines, paid = true) {
  const shopper = {};
  const shop = (query, variables) => call('shop-api', shopper, query, variables);
  for (const [variant, quantity] of lines) {
    await shop(`mutation($v: ID!, $q: Int!) { addItemToOrder(productVariantId: $v, quantity: $q) { __typename ${FAILED} } }`, { v: variant, q: quantity });
  }
  await shop(`mutation($i: CreateCustomerInput!) { setCustomerForOrder(input: $i) { __typename ${FAILED} } }`, { i: customer });
  await shop('mutation($i: CreateAddressInput!) { setOrderShippingAddress(input: $i) { __typename } }', { i: address });
  if (paid) {
    const { eligibleShippingMethods } = await shop('{ eligibleShippingMethods { id } }');
    await shop(`mutation($i: [ID!]!) { setOrderShippingMethod(shippingMethodId: $i) { __typename ${FAILED} } }`, { i: [eligibleShippingMethods[0].id] });
    await shop('mutation { transitionOrderToState(state: "ArrangingPayment") { __typename } }');
    const { eligiblePaymentMethods } = await shop('{ eligiblePaymentMethods { code } }');
    await shop(`mutation($m: String!) { addPaymentToOrder(input: { method: $m, metadata: {} }) { __typename ${FAILED} } }`, { m: eligiblePaymentMethods[0].code });
  }
  const emails = { e: customer.emailAddress };
  const { customers } = await admin('query($e: String!) { customers(options: { filter: { emailAddress: { eq: $e } } }) { items { orders(options: { sort: { id: DESC }, take: 1 }) { items { id code lines { id quantity } } } } } }', emails);
  return customers.items[0].orders.items[0];
}

async function parcel(orderLines, method, trackingCode, states) {
  const { addFulfillmentToOrder } = await admin(`mutation($i: FulfillOrderInput!) { addFulfillmentToOrder(input: $i) { __typename ... on Fulfillment { id } ${FAILED} } }`, { i: {
    lines: orderLines.map((l) => ({ orderLineId: l.id, quantity: l.quantity })),
    handler: { code: 'manual-fulfillment', arguments: [{ name: 'method', value: method }, { name: 'trackingCode', value: trackingCode }] } } });
  for (const state of states) {
    await admin(`mutation($f: ID!, $s: String!) { transitionFulfillmentToState(id: $f, state: $s) { __typename ${FAILED} } }`, { f: addFulfillmentToOrder.id, s: state });
  }
}

async function key() {
  const permissions = ['ReadOrder', 'ReadCatalog', 'ReadStockLocation', 'ReadCustomer', 'CreateCustomer'];
  const keys = {};
  for (const [code, permits] of [['chatbot', permissions], ['stock-only', ['ReadCatalog', 'ReadStockLocation']]]) {
    const { createRole } = await admin('mutation($i: CreateRoleInput!) { createRole(input: $i) { id } }', { i: { code, description: code, permissions: permits } });
    const { createApiKey } = await admin('mutation($i: CreateApiKeyInput!) { createApiKey(input: $i) { apiKey } }', { i: {
      roleIds: [createRole.id], translations: [{ languageCode: 'en', name: code }] } });
    keys[code] = createApiKey.apiKey;
  }
  fs.writeFileSync(keyFile, JSON.stringify(keys));
}

(async () => {
  await settings();
  const sku = await articles();
  const erika = { emailAddress: 'erika@example.test', firstName: 'Erika', lastName: 'Mustermann', phoneNumber: '+43 1 234 56-78' };
  const home = { fullName: 'Erika Mustermann', streetLine1: 'Hauptstr. 1', city: 'Wien', postalCode: '1010', countryCode: 'AT' };
  const jürgen = { emailAddress: 'juergen@example.test', firstName: 'Jürgen', lastName: 'Größe' };
  const office = { fullName: 'Jürgen Größe', company: 'Größe & Söhne', streetLine1: 'Am Platz 2', city: 'Köln', postalCode: '50667', countryCode: 'DE', phoneNumber: '0221 / 99 88 77' };
  const shipped = await order(erika, home, [[sku['SKU-1001'], 1], [sku['SKU-1002'], 1]]);
  await parcel(shipped.lines, 'Post', 'EX0000041AT', ['Shipped']);
  await order(erika, home, [[sku['SKU-1001'], 2]]);
  const partly = await order(jürgen, office, [[sku['SKU-1004'], 1], [sku['SKU-1008-S'], 3]]);
  await parcel(partly.lines.slice(0, 1), 'DHL', 'DHL-43', ['Shipped', 'Delivered']);
  const cancelled = await order(jürgen, office, [[sku["SET-'09_%"], 1]]);
  await admin(`mutation($i: CancelOrderInput!) { cancelOrder(input: $i) { __typename ${FAILED} } }`, { i: { orderId: cancelled.id, reason: 'test' } });
  await order(jürgen, office, [[sku['SKU-1002'], 1]], false);
  // SKU-1004 is as it was before it was sold.
  await admin('mutation($i: UpdateProductVariantInput!) { updateProductVariant(input: $i) { id } }', { i: { id: sku['SKU-1004'], stockOnHand: 3 } });
  await key();
  for (let tries = 0; ; tries++) {
    const { collections } = await admin('{ collections { items { productVariants { totalItems } } } }');
    if (collections.items.some((c) => c.productVariants.totalItems > 0)) break;
    if (tries > 200) throw new Error('the collection stays empty');
    await new Promise((done) => setTimeout(done, 100));
  }
})().catch((e) => { console.error(e); process.exit(1); });
