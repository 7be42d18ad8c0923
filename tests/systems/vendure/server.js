// A Vendure 3.7 shop on 127.0.0.1 with a SQLite file, as `vendure.sh` wants it.   node server.js FOLDER PORT [empty]
// `empty` fills a new database with what a shop can't be without (taxes, shipping, payment, countries), and serves it.
'use strict';
const path = require('path');
const [folder, port, empty] = [process.argv[2], Number(process.argv[3]), process.argv[4] === 'empty'];
const core = require(require.resolve('@vendure/core', { paths: [process.env.VENDURE_HOME] }));
const { populateInitialData } = require(require.resolve('@vendure/core/cli', { paths: [process.env.VENDURE_HOME] }));

/** Codes in the order in which the orders are made: WEB-41, WEB-42, ... */
class Counted {
  init(injector) { this.connection = injector.get(core.TransactionalConnection); }
  async generate(ctx) { return `WEB-${41 + await this.connection.getRepository(ctx, core.Order).count()}`; }
}

const config = {
  apiOptions: { port, hostname: '127.0.0.1', adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
  authOptions: {
    tokenMethod: ['bearer', 'api-key'], requireVerification: false, cookieOptions: { secret: 'test-only' },
    superadminCredentials: { identifier: 'superadmin', password: 'superadmin-pw-1' },
  },
  dbConnectionOptions: { type: 'better-sqlite3', database: path.join(folder, 'shop.sqlite'), synchronize: empty, logging: false },
  paymentOptions: { paymentMethodHandlers: [core.dummyPaymentHandler] },
  orderOptions: { orderCodeStrategy: new Counted() },
  logger: new core.DefaultLogger({ level: core.LogLevel.Warn }),
  importExportOptions: { importAssetsDir: folder },
};

const country = (name, code) => ({ name, code, zone: 'Europe' });
const initial = {
  defaultLanguage: 'en', defaultZone: 'Europe', collections: [],
  taxRates: [{ name: 'Standard Tax', percentage: 20 }],
  shippingMethods: [{ name: 'Standard Shipping', price: 0 }],
  paymentMethods: [{ name: 'Test payment', handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] } }],
  countries: [country('Austria', 'AT'), country('Germany', 'DE')],
};

(async () => {
  const app = await core.bootstrap(config);
  if (empty) await populateInitialData(app, initial);
  // Jobs (filters of collections) run in this process.
  await app.get(core.JobQueueService).start();
  console.log(`vendure listens on ${port}`);
})().catch((e) => { console.error(e); process.exit(1); });
