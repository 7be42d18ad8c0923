//! The services with their entity sets, and a shop's data in them.

use super::Set;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Service, entity set, properties (`name` of length 255, `name=40`, `name:alpha=10`, `name:decimal`), navigation
/// (`name>set:joined,by`).
const SETS: [(&str, &str, &str, &str); 8] = [
    (
        "API_SALES_ORDER_SRV",
        "A_SalesOrder",
        "SalesOrder:alpha=10 SalesOrderType=4 SalesOrganization=4 SoldToParty:alpha=10 CreationDate:date SalesOrderDate:date \
         PurchaseOrderByCustomer=35 RequestedDeliveryDate:date TotalNetAmount:decimal TransactionCurrency=5 OverallDeliveryStatus=1 \
         OverallSDProcessStatus=1 OverallTotalDeliveryStatus=1 OverallSDDocumentRejectionSts=1 DeliveryBlockReason=2",
        "to_Item>A_SalesOrderItem:SalesOrder to_Partner>A_SalesOrderHeaderPartner:SalesOrder \
         to_SubsequentProcFlowDoc>A_SalesOrderSubsqntProcFlow:SalesOrder",
    ),
    (
        "API_SALES_ORDER_SRV",
        "A_SalesOrderItem",
        "SalesOrder:alpha=10 SalesOrderItem:alpha=6 Material:alpha=40 SalesOrderItemText=40 RequestedQuantity:decimal \
         RequestedQuantityUnit=3 NetAmount:decimal TaxAmount:decimal TransactionCurrency=5 SalesDocumentRjcnReason=2 DeliveryStatus=1",
        "",
    ),
    (
        "API_SALES_ORDER_SRV",
        "A_SalesOrderHeaderPartner",
        "SalesOrder:alpha=10 PartnerFunction=2 Customer:alpha=10 Supplier:alpha=10 Personnel=8 ContactPerson:alpha=10 AddressID=10",
        "to_Address>A_SalesOrderPartnerAddress:SalesOrder,PartnerFunction",
    ),
    (
        "API_SALES_ORDER_SRV",
        "A_SalesOrderPartnerAddress",
        "SalesOrder:alpha=10 PartnerFunction=2 AddressRepresentationCode=1 OrganizationName1=40 PostalCode=10 CityName=40 EmailAddress=241 \
         PhoneNumberCountry=3 PhoneNumber=30 MobilePhoneCountry=3 MobileNumber=30",
        "",
    ),
    (
        "API_SALES_ORDER_SRV",
        "A_SalesOrderSubsqntProcFlow",
        "SalesOrder:alpha=10 DocRelationshipUUID SubsequentDocument:alpha=10 SubsequentDocumentCategory=4 ProcessFlowLevel=2 CreationDate:date",
        "",
    ),
    (
        "API_OUTBOUND_DELIVERY_SRV;v=0002",
        "A_OutbDeliveryHeader",
        "DeliveryDocument:alpha=10 OverallGoodsMovementStatus=1 OverallPackingStatus=1 OverallPickingStatus=1 \
         OverallProofOfDeliveryStatus=1 ActualGoodsMovementDate:date ProofOfDeliveryDate:date DeliveryDate:date BillOfLading=35 \
         ShipToParty:alpha=10 SoldToParty:alpha=10",
        "",
    ),
    (
        "API_MATERIAL_STOCK_SRV",
        "A_MatlStkInAcctMod",
        "Material:alpha=40 Plant=4 StorageLocation=4 Batch=10 Supplier:alpha=10 Customer:alpha=10 WBSElementInternalID=24 SDDocument:alpha=10 \
         SDDocumentItem:alpha=6 InventorySpecialStockType=1 InventoryStockType=2 MaterialBaseUnit=3 MatlWrhsStkQtyInMatlBaseUnit:decimal",
        "",
    ),
    ("API_PRODUCT_SRV", "A_ProductDescription", "Product:alpha=40 Language=2 ProductDescription=40", ""),
];

pub(super) fn services() -> BTreeMap<String, BTreeMap<String, Set>> {
    let mut services: BTreeMap<String, BTreeMap<String, Set>> = BTreeMap::new();
    for (service, name, properties, navigation) in SETS {
        let property = |text: &str| {
            let (text, length) = text.split_once('=').unwrap_or((text, "255"));
            let (name, kind) = text.split_once(':').unwrap_or((text, "text"));
            (name.to_owned(), (kind.to_owned(), length.parse().unwrap_or(255)))
        };
        let navigates = |text: &str| {
            let (name, to) = text.split_once('>')?;
            let (target, by) = to.split_once(':')?;
            Some((name.to_owned(), (target.to_owned(), by.split(',').map(str::to_owned).collect())))
        };
        let set = Set {
            name: name.to_owned(),
            properties: properties.split_whitespace().map(property).collect(),
            navigation: navigation.split_whitespace().filter_map(navigates).collect(),
            entities: entities(name),
        };
        services.entry(service.to_owned()).or_default().insert(name.to_owned(), set);
    }
    services
}

/// 2026-11-20 and days after, as SAP writes a date.
fn day(after: i64) -> String {
    format!("/Date({})/", (1_795_132_800 + after * 86_400) * 1_000)
}

fn entities(set: &str) -> Vec<Value> {
    let order = |number: &str, reference: &str, customer: &str, status: [&str; 3], net: &str, organisation: &str| {
        json!({
            "SalesOrder": number, "SalesOrderType": "OR", "SalesOrganization": organisation, "SoldToParty": customer, "CreationDate": day(0),
            "SalesOrderDate": day(0), "PurchaseOrderByCustomer": reference, "RequestedDeliveryDate": day(5), "TotalNetAmount": net,
            "TransactionCurrency": "EUR", "OverallDeliveryStatus": "", "OverallSDProcessStatus": status[0], "OverallTotalDeliveryStatus": status[1],
            "OverallSDDocumentRejectionSts": status[2], "DeliveryBlockReason": ""
        })
    };
    let item = |order: &str, number: &str, material: &str, text: &str, quantity: &str, net: &str, rejected: &str| {
        json!({
            "SalesOrder": order, "SalesOrderItem": number, "Material": material, "SalesOrderItemText": text, "RequestedQuantity": quantity,
            "RequestedQuantityUnit": "PC", "NetAmount": net, "TaxAmount": "139.60", "TransactionCurrency": "EUR",
            "SalesDocumentRjcnReason": rejected, "DeliveryStatus": "A"
        })
    };
    let partner = |order: &str, function: &str, customer: &str| json!({"SalesOrder": order, "PartnerFunction": function, "Customer": customer, "Supplier": "", "Personnel": "0", "ContactPerson": "0", "AddressID": ""});
    let carrier = |order: &str, supplier: &str| json!({"SalesOrder": order, "PartnerFunction": "CR", "Customer": "", "Supplier": supplier, "Personnel": "0", "ContactPerson": "0", "AddressID": ""});
    let address = |order: &str, function: &str, email: &str, phone: &str, postal: &str| {
        json!({
            "SalesOrder": order, "PartnerFunction": function, "AddressRepresentationCode": "", "OrganizationName1": "Muster & Söhne GmbH",
            "PostalCode": postal, "CityName": "Wien", "EmailAddress": email, "PhoneNumberCountry": "AT", "PhoneNumber": phone,
            "MobilePhoneCountry": "", "MobileNumber": ""
        })
    };
    let flow = |order: &str, document: &str, category: &str| {
        json!({"SalesOrder": order, "DocRelationshipUUID": format!("{order}-{document}"), "SubsequentDocument": document,
               "SubsequentDocumentCategory": category, "ProcessFlowLevel": "00", "CreationDate": day(1)})
    };
    let delivery = |number: &str, status: [&str; 4], left: Option<i64>, arrived: Option<i64>, lading: &str| {
        json!({
            "DeliveryDocument": number, "OverallPickingStatus": status[0], "OverallPackingStatus": status[1],
            "OverallGoodsMovementStatus": status[2], "OverallProofOfDeliveryStatus": status[3], "ActualGoodsMovementDate": left.map(day),
            "ProofOfDeliveryDate": arrived.map(day), "DeliveryDate": day(5), "BillOfLading": lading, "ShipToParty": "100010", "SoldToParty": "100010"
        })
    };
    let stock = |material: &str, plant: &str, place: &str, kind: &str, special: &str, quantity: &str| {
        json!({
            "Material": material, "Plant": plant, "StorageLocation": place, "Batch": "", "Supplier": "", "Customer": "", "WBSElementInternalID": "0",
            "SDDocument": "", "SDDocumentItem": "0", "InventorySpecialStockType": special, "InventoryStockType": kind, "MaterialBaseUnit": "PC",
            "MatlWrhsStkQtyInMatlBaseUnit": quantity
        })
    };
    let name = |product: &str, language: &str, text: &str| json!({"Product": product, "Language": language, "ProductDescription": text});
    match set {
        "A_SalesOrder" => vec![
            order("42", "WEB-42", "100010", ["B", "B", "A"], "698.00", "1010"),
            order("41", "WEB-41", "100020", ["C", "C", "A"], "149.40", "1010"),
            order("43", "WEB-42", "100020", ["C", "", "C"], "10.00", "1010"),
            order("44", "O'Neil \"4\"", "100020", ["A", "A", "A"], "5.00", "2020"),
        ],
        "A_SalesOrderItem" => vec![
            item("42", "10", "SKU-1001", "Espressomaschine Größe 2", "2.000", "698.00", ""),
            item("42", "20", "SKU-1002", "Rejected", "1.000", "0.00", "10"),
            item("41", "10", "4711", "Mühle", "1.500", "149.40", ""),
            item("43", "10", "4711", "Mühle", "1", "10.00", "10"),
        ],
        "A_SalesOrderHeaderPartner" => vec![
            partner("42", "SP", "100010"),
            partner("42", "SH", "100011"),
            carrier("42", "300001"),
            partner("41", "SP", "100020"),
            partner("43", "SP", "100020"),
            partner("44", "SP", "100020"),
        ],
        "A_SalesOrderPartnerAddress" => vec![
            address("42", "SP", "einkauf@muster.example", "1 5550100", "1010"),
            address("42", "SH", "lager@muster.example", "", "8010"),
            address("42", "CR", "dispo@spedition.example", "7242 9000", "4600"),
            address("41", "SP", "erika@example.test", "0660 5550177", "5020"),
            address("43", "SP", "erika@example.test", "0660 5550177", "5020"),
            address("44", "SP", "erika@example.test", "0660 5550177", "5020"),
        ],
        "A_SalesOrderSubsqntProcFlow" => vec![
            flow("42", "80000001", "J"),
            flow("42", "80000002", "J"),
            flow("42", "80000001", "J"),
            flow("42", "90000001", "M"),
            flow("41", "80000003", "J"),
        ],
        "A_OutbDeliveryHeader" => vec![
            delivery("80000001", ["C", "", "C", "A"], Some(1), None, "EX0000042AT"),
            delivery("80000002", ["C", "", "A", "A"], None, None, ""),
            delivery("80000003", ["C", "C", "C", "C"], Some(1), Some(3), ""),
            delivery("80000009", ["C", "C", "C", "C"], Some(1), Some(3), "somebody else's"),
        ],
        "A_MatlStkInAcctMod" => vec![
            stock("SKU-1001", "1010", "0001", "01", "", "4.000"),
            stock("SKU-1001", "1010", "0002", "01", "", "1.500"),
            stock("SKU-1001", "1010", "0001", "02", "", "2.000"),
            stock("SKU-1001", "1010", "0001", "06", "", "7.000"),
            stock("SKU-1001", "1010", "0001", "01", "E", "90.000"),
            stock("SKU-1001", "2020", "0001", "01", "", "3.000"),
            stock("SKU-1001", "2020", "0001", "07", "", "1.000"),
            stock("4711", "1010", "0001", "01", "", "0.000"),
        ],
        "A_ProductDescription" => vec![
            name("SKU-1001", "DE", "Espressomaschine"),
            name("SKU-1001", "EN", "Espresso machine"),
            name("4711", "DE", "Mühle"),
            name("SKU-1003", "EN", "Never stocked"),
        ],
        _ => Vec::new(),
    }
}
