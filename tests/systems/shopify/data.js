// A shop: articles, locations, customers, orders. Made anew at each start. SKU-1001 has 7 on hand of which 2 are promised; #1042 is Erika's.
// #1048 and KIT-1 come after 60 others that begin so.
'use strict';
const gid = (type, id) => `gid://shopify/${type}/${id}`;
const money = (amount, currency = 'EUR', rate = 1) => ({
  shopMoney: { amount: (amount * rate).toFixed(1), currencyCode: 'EUR' }, presentmentMoney: { amount: amount.toFixed(1), currencyCode: currency } });

function shop() {
  const locations = ['Zentrallager', 'Wien', 'Graz', 'Closed store'].map((name, at) => ({
    __typename: 'Location', id: gid('Location', at + 1), name, isActive: name !== 'Closed store' }));
  // A chain of shops, for one article that is in more places than a page holds.
  for (let n = 1; n <= 60; n += 1) locations.push({ __typename: 'Location', id: gid('Location', 100 + n), name: `Shop ${n}`, isActive: true });
  const collections = [{ __typename: 'Collection', id: gid('Collection', 71), title: 'Coffee bar' }];
  const products = [];
  const variants = [];
  function product(id, title, more, own) {
    const record = { __typename: 'Product', id: gid('Product', id), title, status: 'ACTIVE', description: '', vendor: 'Muster & Söhne', productType: '',
      tags: [], onlineStoreUrl: `https://shop.example.test/products/${id}`, featuredMedia: null, collectionIds: [], ...more };
    products.push(record);
    own.forEach((variant, at) => variants.push({ __typename: 'ProductVariant', id: gid('ProductVariant', id * 10 + at), product: record, title: 'Default Title',
      price: '0.00', inventoryPolicy: 'DENY', tracked: true, levels: {}, selectedOptions: [{ name: 'Title', value: variant.title ?? 'Default Title' }], ...variant }));
  }
  const at = (onHand, available, isActive = true) => ({ onHand, available, isActive });
  const image = { __typename: 'MediaImage', preview: { image: { url: 'https://cdn.example.test/e.jpg' } } };
  product(1, 'Espresso machine', { productType: 'Machines', description: 'Dual boiler with steam wand', tags: ['coffee'], collectionIds: [gid('Collection', 71)], featuredMedia: image },
    [{ sku: 'SKU-1001', price: '349.00', levels: { 1: at(7, 5), 2: at(0, -3), 4: at(9, 9) } }]);
  product(2, 'Milk frother', { productType: 'Accessories', description: 'Stainless steel', tags: ['coffee', 'vip "gold"'] }, [{ sku: 'SKU-1002', price: '39.90', levels: { 1: at(120, 120), 2: at(5, 5), 3: at(4, 4, false) } }]);
  product(3, 'Descaler', { productType: 'Care', description: '1 l for every machine' }, [{ sku: 'SKU-1003', price: '12.50', levels: { 1: at(0, 0) } }]);
  product(4, 'Kaffeemühle Grün', { productType: 'Machines', description: 'Kegelmahlwerk', collectionIds: [gid('Collection', 71)] }, [{ sku: 'SKU-1004', price: '129.90', levels: { 1: at(3, 3) } }]);
  product(5, 'Barista course', { productType: 'Services' }, [{ sku: 'SKU-1005', price: '99.00', tracked: false }]);
  product(6, 'Old kettle', { status: 'ARCHIVED', productType: 'Machines' }, [{ sku: 'SKU-1006', price: '19.90', levels: { 1: at(4, 4) } }]);
  product(7, 'Next year', { status: 'DRAFT', productType: 'Machines' }, [{ sku: 'SKU-1007', price: '19.90', levels: { 1: at(4, 4) } }]);
  product(8, 'Filter paper', { productType: 'Accessories' }, [{ sku: 'SKU-1008-S', title: 'small', price: '3.90', levels: { 1: at(40, 40) } }, { sku: 'SKU-1008-L', title: 'large', price: '4.90', levels: { 1: at(40, 40) } }]);
  product(9, 'Made to order grinder', { productType: 'Machines' }, [{ sku: 'SKU-1009', price: '990.00', inventoryPolicy: 'CONTINUE', levels: { 1: at(0, -2) } }]);
  product(10, 'Friends only', { status: 'UNLISTED', productType: 'Machines', onlineStoreUrl: null }, [{ sku: 'SKU-1010', price: '1.00', levels: { 1: at(1, 1) } }]);
  product(11, 'Cup', { productType: 'Cups' }, [{ sku: 'SKU-1011', price: '9.00', levels: Object.fromEntries(locations.slice(4).map((l) => [l.id.split('/').pop(), at(1, 1)])) }]);
  product(12, 'Odd set', { productType: 'Sets' }, [{ sku: 'SET "A" \\ (1):*', price: '59.00', levels: { 1: at(2, 2) } }]);
  product(200, 'Spare part', { productType: 'Parts' }, Array.from({ length: 60 }, (_, n) => ({ sku: `KIT-1-${n + 1}`, title: `Part ${n + 1}`, price: '2.00', levels: { 1: at(1, 1) } })));
  product(300, 'Kit', { productType: 'Parts' }, [{ sku: 'KIT-1', price: '60.00', levels: { 1: at(2, 2) } }]);

  const customers = [];
  const customer = (id, firstName, lastName, email, phone, company = null) => {
    customers.push({ __typename: 'Customer', id: gid('Customer', id), firstName, lastName, email, phone, company, note: null });
    return customers[customers.length - 1];
  };
  const erika = customer(7001, 'Erika', 'Mustermann', 'erika@example.test', '+4312345678');
  const juergen = customer(7002, 'Jürgen', 'Größe', 'juergen@example.test', null, 'Größe & Söhne');
  const yuki = customer(7003, 'Yuki', 'Ōta', 'yuki@example.test', '+81312345678');

  const orders = [];
  const now = Date.now();
  function order(number, daysAgo, who, more, lines) {
    const skus = lines.map(([sku, quantity, price], n) => {
      const variant = variants.find((v) => v.sku === sku);
      return { __typename: 'LineItem', id: gid('LineItem', number * 1000 + n), sku, name: variant.product.title, quantity, currentQuantity: quantity, unfulfilledQuantity: quantity, price };
    });
    const when = new Date(now - daysAgo * 86400000).toISOString().replace(/\.\d+/, '');
    orders.push({ __typename: 'Order', id: gid('Order', number), name: `#${number}`, confirmationNumber: `CONF${number}`, poNumber: null, email: who?.email ?? null, phone: null,
      processedAt: when, createdAt: when, cancelledAt: null, displayFinancialStatus: 'PAID', displayFulfillmentStatus: 'UNFULFILLED', returnStatus: 'NO_RETURN', customer: who,
      shippingAddress: { zip: '1010', phone: null }, billingAddress: { zip: '1020', phone: '+43 660 5550177' }, currency: 'EUR', rate: 1, fulfillments: [], lines: skus, ...more });
    return orders[orders.length - 1];
  }
  const parcel = (status, displayStatus, more = {}) => ({ __typename: 'Fulfillment', status, displayStatus, createdAt: '2026-11-20T09:00:00+01:00', estimatedDeliveryAt: null, trackingInfo: [], events: [], ...more });
  const done = (o) => { for (const line of o.lines) line.unfulfilledQuantity = 0; };
  done(order(1041, 5, erika, { displayFulfillmentStatus: 'FULFILLED', fulfillments: [
    parcel('CANCELLED', 'CANCELED'),
    parcel('SUCCESS', 'IN_TRANSIT', { estimatedDeliveryAt: '2026-11-24T17:00:00Z',
      trackingInfo: [{ company: 'Post', number: 'EX0000041AT', url: 'https://post.example.test/EX0000041AT' }, { company: 'Post', number: 'EX0000042AT', url: null }],
      events: [{ happenedAt: '2026-11-21T05:00:00Z', status: 'IN_TRANSIT', message: 'Sorted', city: 'Wien', country: 'Austria' }] })] },
  [['SKU-1001', 1, 349], ['SKU-1002', 1, 39.9]]));
  order(1042, 1, erika, { poNumber: 'WEB-42' }, [['SKU-1001', 2, 349]]);
  const partly = order(1043, 2, juergen, { displayFulfillmentStatus: 'PARTIALLY_FULFILLED', phone: '+49 221 998877', fulfillments: [parcel('SUCCESS', 'DELIVERED', { trackingInfo: [{ company: 'DHL', number: 'DHL-43', url: null }] })] },
    [['SKU-1004', 1, 129.9], ['SKU-1008-S', 3, 3.9]]);
  partly.lines[0].unfulfilledQuantity = 0;
  order(1044, 3, juergen, { cancelledAt: '2026-11-20T10:00:00Z', displayFinancialStatus: 'REFUNDED' }, [['SKU-1002', 1, 39.9]]);
  orders[orders.length - 1].lines[0].currentQuantity = 0;
  done(order(1045, 4, yuki, { displayFulfillmentStatus: 'FULFILLED', currency: 'JPY', rate: 0.006, returnStatus: 'RETURN_REQUESTED', fulfillments: [parcel('SUCCESS', 'DELIVERED')] }, [['SKU-1002', 1, 6500]]));
  order(900, 200, erika, {}, [['SKU-1003', 1, 12.5]]);
  order(1046, 6, null, { displayFinancialStatus: 'PENDING', shippingAddress: { zip: 'SW1A 1AA', phone: null }, billingAddress: null }, [['SKU-1011', 1, 9]]);
  // More lines than a page holds.
  order(1047, 7, juergen, {}, Array.from({ length: 130 }, () => ['SKU-1008-S', 1, 3.9]));
  // Replacements are named after their order, and newer.
  order(1048, 9, null, { email: 'mona@example.test' }, [['KIT-1', 1, 60]]);
  for (let n = 1; n <= 60; n += 1) order(5000 + n, 8, null, { name: `#1048-R${n}`, email: 'mona@example.test' }, [['KIT-1-1', 1, 2]]);
  return { locations, collections, products, variants, customers, orders, gid, money };
}

module.exports = { shop };
