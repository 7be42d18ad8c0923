"""Seed a Tryton 8 database with what the connector's tests need (in-process, through proteus).

The fixture: SKU-1001 has 7 on hand and 2 reserved; order WEB-42 of Muster & Söhne GmbH (2 x SKU-1001 = 698.00) waits
for its shipment; Erika Mustermann's WEB-40 was delivered, WEB-41 has left the house with a tracking number.
"""
import datetime as dt
import sys
from decimal import Decimal

from proteus import Model, config
from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, get_accounts
from trytond.modules.account_invoice.tests.tools import create_payment_term, set_fiscalyear_invoice_sequences
from trytond.modules.company.tests.tools import create_company, get_company
from trytond.modules.currency.tests.tools import get_currency

dbname, conf, bot_password_file = sys.argv[1:4]
config.set_trytond(dbname, config_file=conf)
get = Model.get
TODAY = dt.date.today()

# --- Company with books, so that sales can be processed.
create_company(currency=get_currency('EUR'))
company = get_company()
company.party.name = 'Kaffeehaus Example'
company.party.save()
create_chart()
set_fiscalyear_invoice_sequences(create_fiscalyear()).click('create_period')
accounts = get_accounts()
term = create_payment_term()
term.save()

# --- The connector's own technical user: only the groups it needs, never the administrator.
employee_party = get('party.party')(name='Chat Bot')
employee_party.save()
employee = get('company.employee')(party=employee_party)
employee.save()
bot = get('res.user')(name='Chat connector', login='chatbot', email='chatbot@example.test')
with open(bot_password_file, encoding='utf-8') as f:
    bot.password = f.read().strip()
bot.companies.append(company)
bot.company = company
bot.employees.append(employee)
bot.employee = employee
for group in get('res.group').find([('name', 'in', ['Sales', 'Stock', 'Sale Opportunity', 'Party Administration'])]):
    bot.groups.append(group)
bot.save()

# --- Articles.
Category = get('product.category')
accounting = Category(name='Goods', accounting=True)
accounting.account_expense = accounts['expense']
accounting.account_revenue = accounts['revenue']
accounting.save()
categories = {}
for name in ['Espresso machines', 'Accessories', 'Care']:
    categories[name] = Category(name=name)
    categories[name].save()
unit, = get('product.uom').find([('name', '=', 'Unit')])


def product(code, name, price, category=None, description=None, kind='goods'):
    t = get('product.template')(name=name)
    t.default_uom = unit
    t.type = kind
    t.salable = True
    t.list_price = Decimal(price)
    t.account_category = accounting
    if category:
        t.categories.append(Category(categories[category].id))
    p, = t.products
    p.suffix_code = code
    p.description = description
    p.cost_price = Decimal(price) / 2
    t.save()
    return t.products[0]


machine = product('SKU-1001', 'Espresso machine', '349.00', 'Espresso machines', 'Pump machine with two cups at once')
frother = product('SKU-1002', 'Milk frother', '39.90', 'Accessories', 'Warm and cold milk foam')
descaler = product('SKU-1003', 'Descaler 1 l', '12.50', 'Care', 'For machines of any make')
grinder = product('SKU-1004', 'Kaffeemühle Grün', '129.00', 'Accessories')
freight = product('FREIGHT', 'Freight', '5.90', kind='service')

# --- Stock: what is on the shelves.
storage, = get('stock.location').find([('code', '=', 'STO')])


def count(quantities):
    inventory = get('stock.inventory')()
    inventory.location = storage
    for p, quantity in quantities:
        line = inventory.lines.new(product=p)
        line.quantity, line.expected_quantity = quantity, 0
    inventory.click('confirm')


count([(machine, 10), (frother, 125), (grinder, 4)])

# --- Customers.
country = get('country.country')(name='Austria', code='AT')
country.save()


def customer(name, email, phone, street, postal_code, city):
    party = get('party.party')(name=name)
    party.contact_mechanisms.new(type='email', value=email)
    party.contact_mechanisms.new(type='phone', value=phone)
    address = party.addresses[0] if party.addresses else party.addresses.new()
    address.street, address.postal_code, address.city, address.country = street, postal_code, city, country
    party.save()
    return party


muster = customer('Muster & Söhne GmbH', 'einkauf@muster.example', '+43 1 5550142', 'Hauptstr. 1', '1010', 'Wien')
erika = customer('Erika Mustermann', 'erika@example.test', '+43 660 5550177', 'Gartenweg 5', '8010', 'Graz')

parcel_party = get('party.party')(name='Example Parcel')
parcel_party.save()
carrier = get('carrier')(party=parcel_party, carrier_product=freight)
carrier.save()


# --- Orders.
def order(party, reference, lines):
    sale = get('sale.sale')(party=party, payment_term=term, invoice_method='order', reference=reference)
    for p, quantity in lines:
        sale.lines.new(product=p).quantity = quantity
    sale.click('quote')
    sale.click('confirm')
    if sale.state == 'confirmed':
        sale.click('process')
    sale.reload()
    return sale


def ship(sale, tracking, arrived):
    shipment, = sale.shipments
    shipment.carrier = carrier
    shipment.shipping_reference = tracking
    shipment.save()
    shipment.click('assign_force')
    shipment.click('pick')
    shipment.click('pack')
    shipment.click('do' if arrived else 'ship')


ship(order(erika, 'WEB-40', [(machine, 1), (frother, 1)]), 'EX0000040AT', arrived=True)
ship(order(erika, 'WEB-41', [(frother, 2), (grinder, 1)]), 'EX0000041AT', arrived=False)
count([(machine, 7), (frother, 120), (grinder, 3)])
sale = order(muster, 'WEB-42', [(machine, 2)])
draft = get('sale.sale')(party=erika, reference='WEB-44')
draft.lines.new(product=descaler).quantity = 3
draft.save()
for s in get('sale.sale').find([]):
    print('sale', s.id, s.number, s.reference, s.state, s.shipment_state, s.total_amount)
