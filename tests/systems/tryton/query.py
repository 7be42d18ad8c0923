#!/usr/bin/env python3
"""Look into a Tryton of tests/systems/tryton from outside, as a person would: what is really there?

    query.py URL leads [--email ADDRESS] [--description WORDS]     sale.opportunity, oldest first
    query.py URL parties [--email ADDRESS]                         party.party
    query.py URL call METHOD PARAMS                                any method; PARAMS is a JSON list without the context

URL is http://127.0.0.1:PORT/erp. Prints JSON. Exit status 1 when nothing was found. Standard library only.
The user is `chatbot` unless --user admin; passwords are read from $TRYTON_HOME/{bot,admin}.pw.
"""
import argparse
import base64
import json
import os
import sys
import urllib.error
import urllib.request

HOME = os.environ.get('TRYTON_HOME') or os.path.expanduser('~/.cache/confab-tests/tryton')


class Tryton:
    def __init__(self, url, user):
        self.url, self.authorization = url.rstrip('/') + '/rpc/', None
        password_file = os.path.join(HOME, 'admin.pw' if user == 'admin' else 'bot.pw')
        with open(password_file, encoding='utf-8') as f:
            password = f.read().strip()
        login = self.request('common.db.login', [user, {'password': password}, 'en'])
        session = f'{user}:{login[0]}:{login[1]}'.encode()
        self.authorization = 'Session ' + base64.b64encode(session).decode()
        preferences = self.request('model.res.user.get_preferences', [True, {}])
        self.context = {'language': 'en'}
        for name in ('company', 'employee'):
            if preferences.get(name):
                self.context[name] = preferences[name]

    def request(self, method, params):
        headers = {'Content-Type': 'application/json'}
        if self.authorization:
            headers['Authorization'] = self.authorization
        body = json.dumps({'id': 1, 'method': method, 'params': params}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=30) as answer:
            answer = json.load(answer)
        if answer.get('error'):
            raise SystemExit(f'{method}: {answer["error"][0]}: {answer["error"][1]}')
        return answer.get('result')

    def search(self, model, domain, fields):
        return self.request(f'model.{model}.search_read', [domain, 0, 100, [['id', 'ASC']], fields, self.context])

    def logout(self):
        self.request('common.db.logout', [])


def like(text):
    return '%' + ''.join('\\' + c if c in '\\%_' else c for c in text) + '%'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('url')
    parser.add_argument('what', choices=['leads', 'parties', 'call'])
    parser.add_argument('rest', nargs='*')
    parser.add_argument('--email')
    parser.add_argument('--description')
    parser.add_argument('--user', choices=['chatbot', 'admin'], default='chatbot')
    args = parser.parse_args()
    try:
        tryton = Tryton(args.url, args.user)
    except urllib.error.URLError as e:
        raise SystemExit(f'{args.url}: {e}')
    email = ['contact_mechanisms.value', 'ilike', args.email]
    if args.what == 'leads':
        domain = []
        if args.email:
            domain.append(['party.' + email[0], *email[1:]])
        if args.description:
            domain.append(['description', 'ilike', like(args.description)])
        fields = ['number', 'reference', 'state', 'description', 'comment', 'conversion_probability', 'lost_reason',
            'party.name', 'party.contact_mechanisms.value', 'lines.product.code', 'lines.quantity']
        found = tryton.search('sale.opportunity', domain, fields)
    elif args.what == 'parties':
        fields = ['name', 'code', 'contact_mechanisms.type', 'contact_mechanisms.value']
        found = tryton.search('party.party', [email] if args.email else [], fields)
    else:
        method, params = args.rest
        found = tryton.request(method, json.loads(params) + [tryton.context])
    tryton.logout()
    json.dump(found, sys.stdout, ensure_ascii=False, indent=2)
    print()
    sys.exit(0 if found else 1)


if __name__ == '__main__':
    main()
